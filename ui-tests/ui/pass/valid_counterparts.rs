//! The right way for each kind of misuse beside this folder.
use qemu_dsl::facts::{HostAccel, Platform};
use qemu_dsl::prelude::*;
use qemu_dsl::{HostFacts, QemuVersion};

fn main() {
    let facts = HostFacts::example();
    // bus: the same device on machine types that have its bus
    let mut vm = Vm::new(VirtPcie::new(), Tcg::new(), CortexA57::new(), mib!(256));
    vm.kernel(Kernel::new("Image"));
    vm.add(OnPci(VirtioBalloon::new()));
    let disk = vm.drive(Drive::new("disk.raw", Format::Raw));
    vm.add(OnMmio(VirtioBlk::new(disk)));
    let mut vm = Vm::new(Microvm::with_pcie(), Tcg::new(), Haswell::new(), mib!(256));
    vm.kernel(Kernel::new("Image"));
    vm.add(PcieRootPort::new(1));

    // timers, accel, cpu: with their proofs
    if let (Platform::X86_64(HostAccel::Kvm(kvm)), Some(proof)) = (facts.platform(), facts.tsc_deadline()) {
        let machine = Microvm::new().without_timers(proof).without_isa_serial().without_option_roms();
        let mut vm = Vm::new(machine, kvm, Host::new(), mib!(256));
        vm.kernel(Kernel::new("vmlinuz"));
        let iothread = vm.iothread();
        let text = String::from("root.qcow2"); // not 'static
        let aio = facts.io_uring().map_or(Aio::Threads, Aio::IoUring);
        let disk = vm.drive_as(id!("hd0"), Drive::new(&text, Format::Qcow2).aio(aio));
        vm.add_as(id!("root"), VirtioBlk::new(disk).iothread(iothread));
        // serial: two controllers, a port each, a console
        let (console, [first]) = vm.virtio_serial();
        let (_, [second]) = vm.virtio_serial();
        for (port, path) in [(first, "a.sock"), (second, "b.sock")] {
            let socket = vm.chardev(Socket::listen(SocketPath::new(path).unwrap()));
            vm.add(VirtSerialPort::new(port, socket).name(path));
        }
        let stdio = vm.chardev(Stdio::new());
        vm.virtconsole(console, stdio).build().unwrap();
    }

    // version: by the version of the binary
    let version = QemuVersion::new(9, 1, 0);
    let netdev = StreamNetdev::unix(SocketPath::new("net.sock").unwrap());
    let netdev = match (version.since(), version.between()) {
        (Some(proof), _) => netdev.reconnect(Reconnect::milliseconds(250, proof)),
        (None, Some(proof)) => netdev.reconnect(Reconnect::seconds(1, proof)),
        (None, None) => netdev,
    };
    let mut vm = Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(256));
    vm.kernel(Kernel::new("Image"));
    vm.smp(Smp::new(2).unwrap());
    let net = vm.netdev(netdev);
    vm.add(VirtioNet::new(net));
    if let Some(proof) = QemuVersion::new(10, 0, 0).since() {
        let iothread = vm.iothread_since(id!("io"), proof);
        vm.spare(iothread);
    }
    vm.build().unwrap();
}
