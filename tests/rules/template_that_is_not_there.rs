{
    use qemu_dsl::backend::TemplateMemory;
    use qemu_dsl::prelude::*;
    let memory = TemplateMemory::copy_on_write("/nonexistent/template", mib!(128));
    let command = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), memory).build()?;
    qemu_dsl::launch::Launch::new(&command).start()?;
    Ok(())
}
