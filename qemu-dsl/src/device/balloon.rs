use crate::opts::QemuOpts;

/// A virtio balloon: memory that the guest hands back. A VM has at most one.
///
/// ```
/// use qemu_dsl::device::VirtioBalloon;
/// use qemu_dsl::opts;
/// let balloon = VirtioBalloon::new().deflate_on_oom(true).free_page_reporting(true);
/// assert_eq!(opts::to_text(&balloon)?, b"virtio-balloon-device,deflate-on-oom=on,free-page-reporting=on");
/// # Ok::<(), opts::OptError>(())
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(device = "virtio-balloon", virtio, single, build = "A balloon with QEMU's defaults.")]
pub struct VirtioBalloon {
    /// The guest takes memory back before it kills processes.
    deflate_on_oom: Option<bool>,
    /// The guest reports free pages, and the host frees them.
    free_page_reporting: Option<bool>,
}
