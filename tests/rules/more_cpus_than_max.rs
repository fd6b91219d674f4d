{
    use qemu_dsl::prelude::*;
    Smp::new(4)?.max(2)?;
    Ok(())
}
