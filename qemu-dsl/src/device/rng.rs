use crate::backend::{IntoRngBackend, RngBackend};
use crate::opts::QemuOpts;

/// A virtio random number generator: `virtio-rng`.
///
/// ```
/// use qemu_dsl::prelude::*;
/// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// let random = vm.rng_backend(RngRandom::urandom());
/// vm.add(VirtioRng::new(random));
/// assert!(vm.build().unwrap().to_string().contains("virtio-rng-pci,rng=rng0"));
/// ```
#[derive(QemuOpts, Debug)]
#[qemu(device = "virtio-rng", virtio, build = "A generator that takes its numbers from `rng`.")]
pub struct VirtioRng {
    /// Where the random numbers come from.
    #[qemu(with = |rng: impl IntoRngBackend| rng.into_rng_backend())]
    rng: RngBackend,
}
