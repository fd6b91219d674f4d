use super::Versions;
use crate::accel::{AnyAccel, Hvf, Kvm, Tcg, X86_64};
use crate::bus::{Isa, Pci, Virtio};

crate::machine! {
    /// The machine type `pc`: the i440FX PC of 1996 with PCI. Every x86 kernel boots on it.
    ///
    /// ```
    /// use qemu_dsl::machine::Pc;
    /// use qemu_dsl::opts::to_text;
    /// assert_eq!(to_text(&Pc::new()).unwrap(), b"pc");
    /// assert_eq!(to_text(&Pc::new().versioned(7, 2)).unwrap(), b"pc-i440fx-7.2");
    /// ```
    pub struct Pc = "pc" {
        arch: X86_64,
        transport: Pci,
        buses: [Virtio, Pci, Isa],
        uart: IsaSerial,
        accelerators: [Kvm<X86_64>, Hvf<X86_64>, Tcg, AnyAccel],
        ioeventfd: [any],
        facts: [cpus(&[((1, 4), 255)]), pci_slots(&[((5, 2), 30)]), boots_disks(), hotplugs_cpus()],
    }
    versions Versions::new("pc-i440fx-", &[((5, 2), (1, 4)), ((10, 0), (2, 4)), ((11, 1), (5, 2))]);
}

crate::machine! {
    /// The machine type `q35`: the PC of 2009 with PCI Express.
    ///
    /// ```
    /// use qemu_dsl::machine::Q35;
    /// use qemu_dsl::opts::to_text;
    /// assert_eq!(to_text(&Q35::new()).unwrap(), b"q35");
    /// assert_eq!(to_text(&Q35::new().versioned(8, 2)).unwrap(), b"pc-q35-8.2");
    /// ```
    pub struct Q35 = "q35" {
        arch: X86_64,
        transport: Pci,
        buses: [Virtio, Pci, Isa],
        uart: IsaSerial,
        accelerators: [Kvm<X86_64>, Hvf<X86_64>, Tcg, AnyAccel],
        ioeventfd: [any],
        facts: [
            cpus(&[((2, 4), 255), ((2, 8), 288), ((8, 1), 1024), ((9, 0), 4096)]),
            // 10.0 has no limit of its own under TCG; which version between it and 7.2 was the first is not known.
            tcg_cpus(&[((5, 2), 255), ((10, 0), 4096)]),
            pci_slots(&[((5, 2), 30)]),
            boots_disks(),
            hotplugs_cpus(),
        ],
    }
    versions Versions::new("pc-q35-", &[((5, 2), (2, 4)), ((11, 1), (5, 2))]);
}
