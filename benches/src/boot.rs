//! From the start of QEMU to the agent's answer: the library's plans beside what others run, with the same guest.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qemu_dsl::QemuCommand;
use qemu_dsl::accel::Architecture::{self, Aarch64, X86_64};
use qemu_dsl::facts::{Acceleration, Os};
use qemu_dsl::kernel::{MmioDiscovery, has_pvh};
use qemu_dsl::launch::Launch;
use qemu_dsl::sandbox::{Profile, SandboxConfig, plan};
use tests::plans::bare;
use tests::{guest_dir, minimal_guest_dir, qemus};

use crate::measure::ms;

/// How long a boot may take before it counts as one that never ends.
const LIMIT: Duration = Duration::from_secs(20);

/// One way to boot the guest.
pub struct Candidate {
    /// What it is.
    pub name: &'static str,
    arch: Architecture,
    guest: PathBuf,
    args: Box<Args>,
}

/// Makes the arguments for a place.
type Args = dyn Fn(&Place<'_>) -> Vec<OsString>;

/// Where a boot has its files.
struct Place<'a> {
    dir: &'a Path,
    guest: &'a Path,
    arch: Architecture,
}

impl Place<'_> {
    fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn guest_file(&self, name: &str) -> PathBuf {
        self.guest.join(format!("{name}-{}", self.arch))
    }

    /// The sandbox's plan on a host that has nothing but TCG.
    fn plan(&self, profile: Profile, edits: &[(&str, &str)]) -> Vec<OsString> {
        let kernel = std::fs::read_to_string(self.guest_file("config")).expect("the kernel's configuration");
        let config = SandboxConfig::new("bench", self.dir, self.guest)
            .expect("a good configuration")
            .kernel_mmio(MmioDiscovery::from_config(&kernel))
            .pvh_kernel(has_pvh(&kernel) && self.guest_file("vmlinux").is_file())
            .profile(profile);
        let facts = bare(self.arch, Os::Linux, Acceleration::Tcg)
            .with_qemu_version(Some(qemus()[0].version))
            .with_seccomp(true);
        let plan = plan(&config, &facts).expect("a plan");
        let edited = |arg: &std::ffi::OsStr| {
            let arg = arg.to_str().expect("UTF-8").to_owned();
            edits.iter().fold(arg, |arg, (from, to)| arg.replace(from, to)).into()
        };
        plan.command().args().map(edited).collect()
    }

    /// A command as people write it by hand: `machine`, and the devices of the sandbox in their shortest form.
    fn by_hand(&self, machine: &str, suffix: &str, cmdline: &str) -> Vec<OsString> {
        let [cmd, event, overlay] = ["cmd.sock", "event.sock", "overlay.qcow2"].map(|name| self.file(name));
        let line = format!(
            "{} {machine} -kernel {} -initrd {} -drive file={overlay},format=qcow2,if=none,id=hd0 \
             -device virtio-blk-{suffix},drive=hd0 -device virtio-serial-{suffix} \
             -chardev socket,id=cmd,path={cmd},server=on,wait=off -device virtserialport,chardev=cmd,name=org.dualeai.cmd \
             -chardev socket,id=event,path={event},server=on,wait=off -device virtserialport,chardev=event,name=org.dualeai.event",
            self.arch.qemu_binary(),
            self.guest_file("vmlinuz").display(),
            self.guest_file("initramfs").display(),
        );
        let console = if self.arch == X86_64 { "ttyS0" } else { "ttyAMA0" };
        let cmdline = format!("console={console} root=/dev/vda rootfstype=ext4 rootflags=rw {cmdline}");
        line.split_whitespace().map(Into::into).chain(["-append".into(), cmdline.trim().into()]).collect()
    }
}

fn candidate(
    name: &'static str,
    (arch, guest): (Architecture, PathBuf),
    args: impl Fn(&Place<'_>) -> Vec<OsString> + 'static,
) -> Candidate {
    Candidate { name, arch, guest, args: Box::new(args) }
}

fn edited(
    name: &'static str,
    guest: (Architecture, PathBuf),
    profile: Profile,
    edits: &'static [(&'static str, &'static str)],
) -> Candidate {
    candidate(name, guest, move |place| place.plan(profile, edits))
}

/// What virtme-ng 1.35 (Debian 13) passes without KVM, beside its file systems and channels: `virtme-run --dry-run --disable-kvm`.
const VIRTME: [(&str, &str); 2] = [
    (
        "-device i6300esb,id=watchdog0 -machine q35 -parallel none -net none -vga none -display none -serial stdio -no-reboot",
        "nr_open=1048576 earlyprintk=serial,ttyS0,115200 quiet loglevel=1 panic=-1 raid=noautodetect",
    ),
    (
        "-M virt -cpu cortex-a57 -parallel none -net none -vga none -display none -serial stdio -no-reboot",
        "nr_open=1048576 earlyprintk=serial,ttyAMA0,115200 quiet loglevel=1 panic=-1 raid=noautodetect",
    ),
];

/// The ways to boot on `x86_64`, with the minimal kernel: the first one is what the others are compared with.
pub fn on_x86_64() -> Vec<Candidate> {
    let guest = || (X86_64, minimal_guest_dir());
    let standard = |name, edits| edited(name, guest(), Profile::Standard, edits);
    vec![
        candidate("`-M q35`, QEMU's defaults", guest(), |place| place.by_hand("-M q35 -m 256M -nographic", "pci", "")),
        candidate("virtme-ng 1.35 (q35)", guest(), |place| place.by_hand(VIRTME[0].0, "pci", VIRTME[0].1)),
        standard("**standard profile** (pc)", &[]),
        standard("the standard profile's options on q35", &[("pc,", "q35,")]),
        edited("**fast profile** (microvm, `vmlinux`)", guest(), Profile::Fast, &[]),
    ]
}

/// The ways to boot on aarch64, with Debian's cloud kernel.
pub fn on_aarch64() -> Vec<Candidate> {
    let guest = || (Aarch64, guest_dir());
    vec![
        candidate("`-M virt`, QEMU's defaults", guest(), |place| {
            place.by_hand("-M virt -cpu cortex-a57 -m 256M -nographic", "pci", "")
        }),
        candidate("virtme-ng 1.35 (virt)", guest(), |place| place.by_hand(VIRTME[1].0, "device", VIRTME[1].1)),
        edited("**both profiles** (virt)", guest(), Profile::Standard, &[]),
        edited(
            "the same over PCIe",
            guest(),
            Profile::Standard,
            &[
                ("virtio-blk-device", "virtio-blk-pci"),
                ("virtio-serial-device", "virtio-serial-pci"),
                ("virtio-balloon-device", "virtio-balloon-pci"),
            ],
        ),
    ]
}

/// The fast profile on `x86_64` and standard one on aarch64, each with one thing changed.
pub fn variations() -> [Vec<Candidate>; 2] {
    let x86 = |name, edits| edited(name, (X86_64, minimal_guest_dir()), Profile::Fast, edits);
    let arm = |name, edits| edited(name, (Aarch64, guest_dir()), Profile::Standard, edits);
    [
        vec![
            x86("fast profile", &[]),
            x86("`vmlinuz`, which decompresses itself", &[("vmlinux", "vmlinuz")]),
            edited(
                "q35, ISA serial console, `vmlinux`",
                (X86_64, minimal_guest_dir()),
                Profile::Standard,
                &[("pc,", "q35,"), ("vmlinuz", "vmlinux")],
            ),
            x86("ISA serial port on", &[("isa-serial=off,", "")]),
            x86("`quiet loglevel=0`", &[("loglevel=7", "quiet loglevel=0")]),
            x86("`tb-size=32`", &[("tb-size=256", "tb-size=32")]),
            x86("`tb-size=1024`", &[("tb-size=256", "tb-size=1024")]),
            x86("`thread=multi`", &[("thread=single", "thread=multi")]),
            x86("`-m 128M`", &[("256M", "128M")]),
            x86("`-m 1G`", &[("256M", "1G")]),
            x86("`-smp 2`, `thread=multi`", &[]).with_two_cpus(),
            x86("`-cpu max`", &[("Haswell", "max")]),
            x86("`-cpu qemu64`", &[("Haswell", "qemu64")]),
            x86("`rtc=off`", &[("isa-serial=off", "isa-serial=off,rtc=off")]),
        ],
        vec![
            arm("standard profile", &[]),
            arm("`quiet loglevel=0`", &[("loglevel=7", "quiet loglevel=0")]),
            arm("`gic-version=2`", &[("gic-version=3", "gic-version=2")]),
            arm("`highmem=on`", &[("highmem=off", "highmem=on")]),
            arm("`-cpu cortex-a53`", &[("cortex-a57", "cortex-a53")]),
            arm("`-cpu max`", &[("cortex-a57", "max")]),
        ],
    ]
}

impl Candidate {
    /// The fast profile with a thread for each of two CPUs.
    fn with_two_cpus(self) -> Self {
        let args = |place: &Place<'_>| {
            let mut args = place.plan(Profile::Fast, &[("thread=single", "thread=multi")]);
            let at = args.iter().position(|arg| arg == "-smp").expect("a number of CPUs") + 1;
            args[at] = "2".into();
            args
        };
        Self { args: Box::new(args), ..self }
    }

    /// Boots once: the milliseconds from before the start to the agent's answer, or [`None`] when it never came.
    ///
    /// # Panics
    ///
    /// When QEMU does not even start.
    pub fn boot(&self) -> Option<f64> {
        let dir = tempfile::tempdir().expect("a directory");
        let overlay = dir.path().join("overlay.qcow2");
        std::fs::copy(self.guest.join(format!("rootfs-{}.qcow2", self.arch)), overlay).expect("the root disk");
        let place = Place { dir: dir.path(), guest: &self.guest, arch: self.arch };
        let args = (self.args)(&place);
        let mut command = QemuCommand::new(&args[0]).expect("a program");
        for arg in &args[1..] {
            command.arg(arg).expect("an argument");
        }
        let started = Instant::now();
        let deadline = started + LIMIT;
        let machine = Launch::new(&command).start().expect("QEMU starts");
        let connect = |name: &str| machine.agent(dir.path().join(name), deadline);
        let failed = |error| panic!("{}: {error}\n{command}", self.name);
        let mut events = connect("event.sock").unwrap_or_else(failed);
        let mut commands = connect("cmd.sock").unwrap_or_else(failed);
        events.wait_for("ready", deadline).ok()?;
        let answer = commands.ask("ping", deadline).ok()?;
        assert!(answer.starts_with("pong "), "{answer}");
        Some(ms(started.elapsed()))
    }
}
