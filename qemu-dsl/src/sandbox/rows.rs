//! The rows of the table: the VM of each kind of host.

use std::path::Path;

use super::choices::{Choices, ConsoleKind, MachineKind, PlanError};
use super::config::{ARCHITECTURES, Profile, SandboxConfig};
use super::confinement::{self, Wrappers};
use super::reasons;
use crate::QemuCommand;
use crate::accel::{Accelerator, AnyAccel, Architecture, Tcg, TcgThread};
use crate::backend::{
    Aio, Cache, Discard, Drive, ErrorPolicy, Format, IoThread, Reconnect, Socket, SocketPath, Stdio, StreamNetdev,
    WriteErrorPolicy, ZeroWrites,
};
use crate::bus::{HasBus, Virtio};
use crate::cpu::{CortexA57, Haswell, Host, HostWithoutNesting};
use crate::device::{VirtSerialPort, VirtioBalloon, VirtioBlk, VirtioNet};
use crate::facts::{Acceleration, HostAccel, HostFacts, Os, Platform};
use crate::id;
use crate::isolation::Isolation;
use crate::kernel::{Kernel, MmioDiscovery};
use crate::machine::{AnyMachine, GicVersion, HasIsaSerial, HasPl011, IoEventFd, MachineType, Microvm, Pc, Q35, Virt};
use crate::opts::Size;
use crate::policy::NetworkMode;
use crate::seccomp::Seccomp;
use crate::vm::{AnyConsole, Explained, Reason, Target, Vm};

/// A row's VM, without the types that have done their work.
type RowVm = Vm<AnyMachine, AnyAccel, AnyConsole>;

/// The parameters that every guest gets, between `console=` and those that depend on the plan.
macro_rules! cmdline {
    ($($more:literal),*) => {
        concat!(
            "loglevel=7 root=/dev/vda rootflags=rw,noatime rootfstype=ext4 rootwait=2 fsck.mode=skip reboot=t \
    panic=-1 preempt=none i8042.noaux i8042.nomux i8042.nopnp i8042.nokbd init=/init random.trust_cpu=on raid=noautodetect \
    mitigations=off nokaslr noresume swiotlb=noforce",
            $($more),*
        )
    };
}

pub(super) struct Planning<'a> {
    config: &'a SandboxConfig,
    facts: HostFacts,
    isolation: Isolation,
}

pub(super) type Built = Result<(Choices, Explained), PlanError>;

/// A machine type with what every one of the table gets.
macro_rules! tuned {
    ($planning:ident, $machine:expr) => {{
        let machine = $machine.mem_merge(false);
        match $planning.facts.linux() {
            Some(linux) => machine.without_core_dump(linux),
            None => machine,
        }
    }};
}

/// The rows for `x86_64` with an accelerator of the host: the same for KVM and HVF but for the I/O thread.
macro_rules! x86_hardware {
    ($planning:ident, $target:ident, $reuse:ident, $accel:ident, |$vm:ident| $iothread:expr) => {{
        let memory = $planning.config.memory;
        match ($planning.config.kernel_mmio, $planning.facts.tsc_deadline()) {
            (MmioDiscovery::None, _) => {
                let machine = tuned!($planning, Pc::new());
                let mut $vm = Vm::reusing($target, $reuse, machine, $accel, HostWithoutNesting::new(), memory);
                let iothread = $iothread;
                $planning.on_isa_serial($vm, iothread, MachineKind::Pc)
            }
            (MmioDiscovery::AcpiOnly, _) => {
                let machine = tuned!($planning, Microvm::with_acpi().without_isa_serial());
                let mut $vm = Vm::reusing($target, $reuse, machine, $accel, HostWithoutNesting::new(), memory);
                let iothread = $iothread;
                $planning.on_virtconsole($vm, iothread, MachineKind::MicrovmAcpi)
            }
            (MmioDiscovery::CommandLine | MmioDiscovery::Unknown, Some(proof)) => {
                let machine = tuned!($planning, Microvm::new().without_timers(proof).without_isa_serial());
                let mut $vm = Vm::reusing($target, $reuse, machine, $accel, HostWithoutNesting::new(), memory);
                let iothread = $iothread;
                $planning.on_virtconsole($vm, iothread, MachineKind::Microvm)
            }
            (MmioDiscovery::CommandLine | MmioDiscovery::Unknown, None) => {
                let machine = tuned!($planning, Microvm::new().without_isa_serial());
                let mut $vm = Vm::reusing($target, $reuse, machine, $accel, HostWithoutNesting::new(), memory);
                let iothread = $iothread;
                $planning.on_virtconsole($vm, iothread, MachineKind::Microvm)
            }
        }
    }};
}

impl<'a> Planning<'a> {
    pub(super) fn new(config: &'a SandboxConfig, facts: &HostFacts) -> Result<Self, PlanError> {
        facts.check()?;
        if !ARCHITECTURES.contains(&facts.arch) {
            return Err(PlanError::Architecture { arch: facts.arch });
        }
        let mut facts = facts.clone();
        if config.force_emulation {
            facts.accel = Acceleration::Tcg;
        }
        if config.network() != NetworkMode::None
            && let Some(version) = facts.qemu_version
            && !version.is_at_least(7, 2)
        {
            return Err(PlanError::NetworkVersion { version });
        }
        let isolation = confinement::level(config, &facts)?;
        Ok(Self { config, facts, isolation })
    }

    pub(super) fn build(&self, reuse: Option<QemuCommand>, explain: bool) -> Built {
        let wrappers = Wrappers::new(self.config, &self.facts, self.isolation, self.image())?;
        let (wrappers, count) = wrappers.list();
        let mut target = Target::default().wrappers(&wrappers[..count]);
        if let Some(qemu) = &self.config.qemu {
            target = target.binary(qemu);
        }
        if let Some(version) = self.facts.qemu_version {
            target = target.version(version);
        }
        if explain {
            target = target.explained();
        }
        self.on_platform(&target, reuse)
    }

    /// The rows of the table.
    fn on_platform(&self, target: &Target<'_>, reuse: Option<QemuCommand>) -> Built {
        let memory = self.config.memory;
        match self.facts.platform() {
            Platform::X86_64(HostAccel::Kvm(kvm)) => {
                x86_hardware!(self, target, reuse, kvm, |vm| Some(self.iothread(&mut vm)))
            }
            Platform::X86_64(HostAccel::Hvf(hvf)) => x86_hardware!(self, target, reuse, hvf, |vm| {
                let _ = &mut vm; // no I/O thread outside Linux
                None
            }),
            Platform::X86_64(HostAccel::Tcg)
                if self.fast() && self.config.kernel_mmio == MmioDiscovery::CommandLine =>
            {
                let machine = tuned!(self, Microvm::new().without_isa_serial());
                let mut vm = Vm::reusing(target, reuse, machine, tcg(), Haswell::new(), memory);
                let iothread = self.iothread_by_version(&mut vm);
                self.on_virtconsole(vm, iothread, MachineKind::Microvm)
            }
            Platform::X86_64(HostAccel::Tcg) if self.fast() => {
                let machine = tuned!(self, Q35::new());
                let mut vm = Vm::reusing(target, reuse, machine, tcg(), Haswell::new(), memory);
                let iothread = self.facts.linux().map(|_| self.iothread(&mut vm));
                self.on_isa_serial(vm, iothread, MachineKind::Q35)
            }
            Platform::X86_64(HostAccel::Tcg) => {
                let machine = tuned!(self, Pc::new());
                let mut vm = Vm::reusing(target, reuse, machine, tcg(), Haswell::new(), memory);
                let iothread = self.facts.linux().map(|_| self.iothread(&mut vm));
                self.on_isa_serial(vm, iothread, MachineKind::Pc)
            }
            Platform::Aarch64(HostAccel::Kvm(kvm)) => {
                let mut vm = Vm::reusing(target, reuse, self.virt(), kvm, Host::new(), memory);
                let iothread = Some(self.iothread(&mut vm));
                self.on_pl011(vm, iothread)
            }
            Platform::Aarch64(HostAccel::Hvf(hvf)) => {
                self.on_pl011(Vm::reusing(target, reuse, self.virt(), hvf, Host::new(), memory), None)
            }
            Platform::Aarch64(HostAccel::Tcg) => {
                let mut vm = Vm::reusing(target, reuse, self.virt(), tcg(), CortexA57::new(), memory);
                let iothread = self.iothread_by_version(&mut vm);
                self.on_pl011(vm, iothread)
            }
            Platform::Riscv64(_) | Platform::Other(_) => Err(PlanError::Architecture { arch: self.facts.arch }),
        }
    }

    fn fast(&self) -> bool {
        self.config.profile == Profile::Fast
    }

    /// Whether an uncompressed kernel is there, and starts faster.
    fn uses_vmlinux(&self) -> bool {
        let measured = self.facts.arch == Architecture::X86_64 && self.facts.accel == Acceleration::Tcg;
        self.fast() && self.config.has_vmlinux && measured
    }

    /// The guest kernel.
    fn image(&self) -> &Path {
        if self.uses_vmlinux() { &self.config.vmlinux } else { self.config.kernel(self.facts.arch) }
    }

    fn virt(&self) -> Virt {
        tuned!(self, Virt::new().virtualization(false).highmem(false).gic_version(GicVersion::V3))
    }

    fn iothread<M: IoEventFd<A>, A: Accelerator>(&self, vm: &mut Vm<M, A>) -> IoThread {
        let iothread = vm.iothread_as(self.config.vm_id.iothread());
        vm.because("-object", reasons::iothread);
        iothread
    }

    /// An I/O thread where only the version of QEMU tells whether there can be one.
    fn iothread_by_version<M: MachineType>(&self, vm: &mut Vm<M, Tcg>) -> Option<IoThread> {
        self.facts.linux()?;
        let proof = self.facts.qemu_version?.since()?;
        let iothread = vm.iothread_since(self.config.vm_id.iothread(), proof);
        vm.because("-object", reasons::iothread_under_tcg);
        Some(iothread)
    }

    fn on_virtconsole<M, A>(&self, vm: Vm<M, A>, iothread: Option<IoThread>, machine: MachineKind) -> Built
    where
        M: MachineType + HasBus<Virtio>,
        A: Accelerator,
    {
        self.finish(vm.retyped(), iothread, machine, ConsoleKind::Virtconsole)
    }

    fn on_isa_serial<M, A>(&self, vm: Vm<M, A>, iothread: Option<IoThread>, machine: MachineKind) -> Built
    where
        M: MachineType + HasBus<Virtio> + HasIsaSerial,
        A: Accelerator,
    {
        self.finish(vm.retyped(), iothread, machine, ConsoleKind::IsaSerial)
    }

    fn on_pl011<M, A>(&self, vm: Vm<M, A>, iothread: Option<IoThread>) -> Built
    where
        M: MachineType + HasBus<Virtio> + HasPl011,
        A: Accelerator,
    {
        self.finish(vm.retyped(), iothread, MachineKind::Virt, ConsoleKind::Pl011)
    }

    /// What all rows have in common. The row's own types have checked what it has of its own, so one copy of this serves all.
    fn finish(&self, mut vm: RowVm, iothread: Option<IoThread>, machine: MachineKind, console: ConsoleKind) -> Built {
        let remarks = [self.remark(machine), confinement::remark(self.isolation, self.config, &self.facts)];
        let choices = Choices { machine, console, accel: self.facts.accel, isolation: self.isolation, remarks };
        let paths = &self.config.paths;
        self.explain_choices(&mut vm, choices);
        vm.name(self.config.vm_id.as_str()).no_reboot().smp(crate::vm::Smp::ONE);
        if self.facts.os == Os::Linux && self.facts.seccomp {
            vm.sandbox(Seccomp::strict()).because("-sandbox", reasons::seccomp);
        }
        self.kernel(&mut vm);

        let disk = vm.drive_as(id!("hd0"), self.root_disk());
        vm.because("-drive", || reasons::drive(self.facts.io_uring().is_some()));
        let mut block = VirtioBlk::new(disk).num_queues(1).queue_size(128);
        if let Some(iothread) = iothread {
            block = block.iothread(iothread);
        }
        vm.add(block).because("-device", reasons::root_device);

        let cmd = vm.chardev_as(id!("cmd0"), Socket::listen(SocketPath::checked(&paths.cmd)));
        vm.because("-chardev", || Reason::new("the host's end of the channel for commands to the guest agent"));
        let event = vm.chardev_as(id!("event0"), Socket::listen(SocketPath::checked(&paths.event)));
        vm.because("-chardev", || Reason::new("the host's end of the channel for events from the guest agent"));
        let stdio = vm.chardev_as(id!("virtiocon0"), Stdio::new().mux(true).signal(false));
        vm.because("-chardev", || Reason::new("the console on QEMU's standard output; Ctrl-C reaches the guest"));
        let (console_port, [cmd_port, event_port]) = vm.virtio_serial();
        vm.because("-device", || Reason::new("the controller of console and channels; port 0 is the console's"));

        match console {
            ConsoleKind::Virtconsole => vm.set_virtconsole(console_port, stdio),
            ConsoleKind::IsaSerial | ConsoleKind::Pl011 => vm.set_uart_console(stdio),
        };
        vm.add(VirtSerialPort::new(cmd_port, cmd).name("org.dualeai.cmd"));
        vm.because("-device", || Reason::new("the guest's end of the channel for commands"));
        vm.add(VirtSerialPort::new(event_port, event).name("org.dualeai.event"));
        vm.because("-device", || Reason::new("the guest's end of the channel for events"));
        vm.add(VirtioBalloon::new().deflate_on_oom(true).free_page_reporting(true));
        vm.because("-device", || Reason::new("memory that the guest does not use goes back to the host"));
        self.network(&mut vm);
        vm.qmp(SocketPath::checked(&paths.qmp));
        Ok((choices, vm.build_explained()?))
    }

    fn explain_choices(&self, vm: &mut RowVm, choices: Choices) {
        vm.because("program", || reasons::program(self.config, &self.facts))
            .because("-accel", || reasons::accel(&self.facts, self.config.force_emulation))
            .because("-cpu", || reasons::cpu(&self.facts))
            .because("-machine", || reasons::machine(&self.facts, choices))
            .because("-m", || Reason::new("the memory of the configuration, 128 to 2048 MiB; always with its unit"));
    }

    fn root_disk(&self) -> Drive<'_> {
        Drive::new(&self.config.paths.overlay, Format::Qcow2)
            .cache(Cache::Unsafe)
            .aio(self.facts.io_uring().map_or(Aio::Threads, Aio::IoUring))
            .discard(Discard::Unmap)
            .detect_zeroes(ZeroWrites::Unmap)
            .werror(WriteErrorPolicy::Report)
            .rerror(ErrorPolicy::Report)
            .copy_on_read(false)
            .bps(50 << 20)
            .bps_max(100 << 20)
            .iops(1000)
            .iops_max(2000)
            .locking(false)
    }

    fn kernel(&self, vm: &mut RowVm) {
        let arch = self.facts.arch;
        // Under emulation on a busy host the kernel's check of the timer interrupt fails, and it panics.
        let tcg = self.facts.accel == Acceleration::Tcg;
        let x86 = arch == Architecture::X86_64;
        let cmdline = match (self.config.network() != NetworkMode::None, x86, tcg) {
            (false, false, _) => cmdline!(" init.balloon=1"),
            (false, true, false) => cmdline!(" init.balloon=1", " tsc=reliable"),
            (false, true, true) => cmdline!(" init.balloon=1", " tsc=reliable", " no_timer_check"),
            (true, false, _) => cmdline!(" init.net=1", " init.balloon=1"),
            (true, true, false) => cmdline!(" init.net=1", " init.balloon=1", " tsc=reliable"),
            (true, true, true) => cmdline!(" init.net=1", " init.balloon=1", " tsc=reliable", " no_timer_check"),
        };
        vm.kernel(Kernel::new(self.image()).initrd(self.config.initramfs(arch)).cmdline(cmdline));
        if self.uses_vmlinux() {
            vm.because("-kernel", reasons::vmlinux);
        }
    }

    fn network(&self, vm: &mut RowVm) {
        if self.config.network() == NetworkMode::None {
            return;
        }
        let mut netdev = StreamNetdev::unix(SocketPath::checked(&self.config.paths.gvproxy));
        if let Some(version) = self.facts.qemu_version {
            #[allow(clippy::same_functions_in_if_condition)]
            // the two proofs are of different versions: their types say so
            if let Some(proof) = version.since() {
                netdev = netdev.reconnect(Reconnect::milliseconds(250, proof));
            } else if let Some(proof) = version.between() {
                netdev = netdev.reconnect(Reconnect::seconds(1, proof));
            }
        }
        let net = vm.netdev_as(id!("net0"), netdev);
        vm.because("-netdev", || reasons::netdev(self.config.network(), self.facts.qemu_version));
        let card = VirtioNet::new(net)
            .mq(false)
            .csum(false)
            .gso(false)
            .host_tso4(false)
            .host_tso6(false)
            .mrg_rxbuf(false)
            .ctrl_rx(false)
            .guest_announce(false);
        vm.add(card)
            .because("-device", || Reason::new("the network device, without offloads that gvproxy does not take"));
    }

    fn remark(&self, machine: MachineKind) -> Option<&'static str> {
        if self.facts.arch != Architecture::X86_64 {
            return None;
        }
        match (machine, self.config.kernel_mmio) {
            (MachineKind::MicrovmAcpi, _) => Some(reasons::KERNEL_NEEDS_ACPI),
            (MachineKind::Pc, MmioDiscovery::None) if self.facts.accel != Acceleration::Tcg => {
                Some(reasons::KERNEL_NEEDS_PCI)
            }
            (MachineKind::Microvm, MmioDiscovery::Unknown) => Some(reasons::KERNEL_UNKNOWN),
            (MachineKind::Q35, _) => Some(reasons::FAST_NEEDS_KERNEL),
            _ => None,
        }
    }
}

fn tcg() -> Tcg {
    Tcg::new().thread(TcgThread::Single).tb_size(Size::mib(256))
}
