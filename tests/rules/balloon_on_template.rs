{
    use qemu_dsl::backend::TemplateMemory;
    use qemu_dsl::prelude::*;
    let memory = TemplateMemory::copy_on_write("/dev/shm/template", mib!(256));
    let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), memory);
    vm.add(VirtioBalloon::new());
    vm.build()?;
    Ok(())
}
