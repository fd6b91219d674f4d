//! What is found when a VM is built, and what is right although it looks similar.

use std::os::unix::net::UnixListener;

use super::{AnyConsole, BuildError, BuildErrors, Target, Wrapper};
use crate::QemuVersion;
use crate::backend::{PassedSocket, ReadOnlyImage, TemplateMemory};
use crate::machine::RunsUnder;
use crate::prelude::*;

fn pc() -> Vm<Pc, Tcg> {
    Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64))
}

fn errors<T>(built: Result<T, BuildErrors>) -> Vec<BuildError> {
    built.err().map(|errors| errors.errors().to_vec()).unwrap_or_default()
}

/// Two disks of one image on a QEMU of this version, the first with an I/O thread or not.
fn shared_image(version: Option<QemuVersion>, disks: usize, thread: bool) -> Vec<BuildError> {
    let mut target = Target::default();
    if let Some(version) = version {
        target = target.version(version);
    }
    let mut vm = Vm::for_target(&target, Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
    let image = vm.shared_image(ReadOnlyImage::new("data.raw", Format::Raw));
    let mut iothread = thread.then(|| vm.iothread());
    for _ in 0..disks {
        let disk = VirtioBlk::new(image.node());
        vm.add(match iothread.take() {
            Some(iothread) => disk.iothread(iothread),
            None => disk,
        });
    }
    errors(vm.build())
}

#[test]
fn a_shared_image_and_a_thread_need_a_qemu_that_can_do_it() {
    let old = Some(QemuVersion::new(7, 2, 22));
    let new = Some(QemuVersion::new(10, 0, 0));
    for (version, disks, thread, good) in [
        (old, 2, true, false),
        (None, 2, true, false),
        (new, 2, true, true),
        (old, 1, true, true),
        (old, 2, false, true),
    ] {
        let errors = shared_image(version, disks, thread);
        assert_eq!(errors.is_empty(), good, "{version:?} {disks} {thread}: {errors:?}");
        assert!(good || matches!(errors[..], [BuildError::SharedImageOnThread { .. }]), "{errors:?}");
    }
}

#[test]
fn uses_are_counted_wherever_they_are() {
    // A mux has room for four, and need not be full.
    let mut vm = pc();
    let [console, ..] = vm.mux_chardev(Stdio::new());
    assert!(errors(vm.isa_serial_console(console).build()).is_empty());
    let mut vm = pc();
    let _all = vm.mux_chardev(Stdio::new());
    assert!(matches!(errors(vm.build())[..], [BuildError::Unused { .. }]));

    // What is kept for later is used by nobody yet.
    let mut vm = pc();
    let (_, [port]) = vm.virtio_serial();
    vm.spare_port(port);
    let net = vm.netdev(UserNetdev::new());
    vm.spare(net);
    assert!(errors(vm.build()).is_empty());

    // One error for a controller and all of its ports, and one for each idle port of a controller that is in use.
    let mut vm = pc();
    let (_, _ports) = vm.virtio_serial::<3>();
    assert_eq!(errors(vm.build()).len(), 1);
    let mut vm = pc();
    let (console, _ports) = vm.virtio_serial::<3>();
    let null = vm.chardev(NullChardev {});
    assert_eq!(errors(vm.virtconsole(console, null).build()).len(), 3);

    // Another VM's.
    let (mut first, mut second) = (pc(), pc());
    let net = first.netdev(UserNetdev::new());
    second.spare(net);
    assert!(errors(second.build())[0].to_string().contains("belongs to another VM"));
}

#[test]
fn what_is_said_last_counts_and_all_else_stays() {
    let mut vm = Vm::for_target(&Target::default().explained(), Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.name("first").kernel(Kernel::new("rescue").initrd("rescue.img"));
    let disk = vm.drive(Drive::new("a,b.raw", Format::Raw));
    vm.add(VirtioBlk::new(disk).bootindex(3));
    vm.kernel(Kernel::new("vmlinuz").cmdline("quiet")).name("last").no_reboot().no_reboot();
    let log = vm.chardev(LogFile::new("a,b.raw"));
    // The path's place has moved twice by now.
    let built = vm.isa_serial_console(log).build_explained();
    let found = errors(built.map(|_| ()));
    assert!(matches!(&found[..], [BuildError::SamePath { path, .. }] if path == "a,b.raw"), "{found:?}");

    let mut vm = Vm::for_target(&Target::default().explained(), Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.name("first").kernel(Kernel::new("rescue").initrd("rescue.img"));
    vm.add(VirtioBalloon::new());
    vm.kernel(Kernel::new("vmlinuz").cmdline("quiet")).name("last");
    let explained = vm.build_explained().unwrap();
    assert!(
        explained.command().to_string().ends_with(
            "-monitor none -device virtio-balloon-pci -kernel vmlinuz -name guest=last -serial none -append quiet"
        ),
        "{}",
        explained.command()
    );
    let options: Vec<_> = explained.options().flat_map(|(arguments, _)| arguments.collect::<Vec<_>>()).collect();
    assert!(options.into_iter().eq(explained.command().args()), "the reasons are of the same arguments");
}

#[test]
fn consoles_that_are_set_at_run_time() {
    fn vm<M: RunsUnder<Tcg>>(machine: M) -> Vm<M, Tcg, AnyConsole>
    where
        Haswell: crate::cpu::CpuFor<M, Tcg>,
    {
        Vm::new(machine, Tcg::new(), Haswell::new(), mib!(64)).any_console()
    }
    let mut twice = vm(Pc::new());
    let (port, []) = twice.virtio_serial();
    let [first, second, ..] = twice.mux_chardev(Stdio::new());
    twice.set_isa_serial_console(first).set_virtconsole(port, second);
    assert_eq!(errors(twice.build())[..1], [BuildError::SecondConsole]);

    let mut off = vm(Microvm::new().without_isa_serial()).into_any();
    off.kernel(Kernel::new("vmlinuz"));
    let stdio = off.chardev(Stdio::new());
    off.set_uart_console(stdio);
    assert_eq!(errors(off.build())[..1], [BuildError::NoUart]);

    let mut late = vm(Pc::new());
    let [first, second, ..] = late.mux_chardev(Stdio::new());
    late.set_isa_serial_console(first).uart_log(second);
    assert_eq!(errors(late.build()), [BuildError::UartTaken]);
}

#[test]
fn what_a_chain_has_built_is_built() {
    let mut vm = pc();
    assert!(vm.no_reboot().build().is_ok());
    assert_eq!(errors(vm.build()), [BuildError::BuiltAlready]);
}

#[test]
fn targets_and_words_that_cannot_be() {
    let old = Target::default().version(QemuVersion::new(1, 0, 0));
    let vm = Vm::for_target(&old, Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    assert_eq!(errors(vm.build()), [BuildError::OldQemu { version: QemuVersion::new(1, 0, 0) }]);

    let wrappers = [Wrapper::new(&[""], "nothing")];
    let target = Target::default().wrappers(&wrappers);
    let vm = Vm::for_target(&target, Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    assert_eq!(errors(vm.build()), [BuildError::EmptyWrapper { why: "nothing" }]);

    for (arg, good) in [("", false), ("-device edu", false), ("-device", true), ("a b", true)] {
        let mut vm = pc();
        vm.raw_arg(arg);
        assert_eq!(errors(vm.build()).is_empty(), good, "{arg}");
    }

    let mut vm = pc();
    let (_, ports) = vm.virtio_serial_ports(usize::MAX);
    assert!(ports.len() <= 511, "no memory for what is an error");
    assert!(errors(vm.build()).contains(&BuildError::TooManyPorts { ports: usize::MAX }));

    let mut vm = pc();
    vm.add_as(id!("pc.ram"), VirtioBalloon::new());
    assert!(errors(vm.build()).is_empty(), "devices have a space of their own");
}

#[test]
fn one_socket_is_for_one_character_device() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("one.sock")).unwrap();
    let mut vm = pc();
    for _ in 0..2 {
        let chardev = vm.chardev(PassedSocket::new(&listener));
        vm.qmp_on(chardev);
    }
    assert!(matches!(errors(vm.build())[..], [BuildError::SameDescriptor { .. }]));
}

#[test]
fn paths_that_may_be_the_same() {
    let mut vm = pc();
    let (_, [first, second]) = vm.virtio_serial();
    // `/dev/null` takes the output of any number, and whoever connects does not listen.
    for port in [first, second] {
        let null = vm.chardev(LogFile::new("/dev/null"));
        vm.add(VirtSerialPort::new(port, null));
    }
    for _ in 0..2 {
        let random = vm.rng_backend(RngRandom::urandom());
        vm.add(VirtioRng::new(random));
    }
    for _ in 0..2 {
        let disk = vm.drive(Drive::new("seed.iso", Format::Raw).readonly(true));
        vm.add(VirtioBlk::new(disk));
    }
    assert!(errors(vm.build()).is_empty());

    // The same path, once as an option's value and once as it is.
    let mut vm = pc();
    let path = SocketPath::new("a,b.sock").unwrap();
    let socket = vm.chardev(Socket::listen(path));
    vm.qmp_on(socket).qmp(path);
    assert!(matches!(errors(vm.build())[..], [BuildError::SamePath { .. }]));
}

#[test]
fn automatic_addresses_are_counted_as_qemu_counts_them() {
    for (macs, good) in [
        (&[None, Some("52:54:00:12:34:56")][..], false),
        // The second one gets the next address.
        (&[Some("52:54:00:12:34:56"), None], true),
        (&[None, None, Some("52:54:00:12:34:57")], false),
        (&[None, Some("52:54:00:12:34:57")], true),
        (&[None, Some("52:54:00:00:34:56")], true),
    ] {
        let mut vm = pc();
        for mac in macs {
            let net = vm.netdev(UserNetdev::new());
            let card = VirtioNet::new(net);
            vm.add(match mac {
                Some(mac) => card.mac(MacAddress::parse(mac).unwrap()),
                None => card,
            });
        }
        assert_eq!(errors(vm.build()).is_empty(), good, "{macs:?}");
    }
}

#[cfg(feature = "host")]
#[test]
fn a_template_must_be_there_and_be_large_enough() {
    use crate::backend::check_template;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a, template");
    let command = |memory| Vm::new(Pc::new(), Tcg::new(), Haswell::new(), memory).build().unwrap();
    let reader = command(TemplateMemory::copy_on_write(&file, mib!(2)));
    let said = |command| check_template(command).map_err(|error| error.to_string()).unwrap_err();
    assert!(said(&reader).contains("No such file"), "{}", said(&reader));
    std::fs::write(&file, vec![0; 1 << 20]).unwrap();
    assert!(said(&reader).contains("1048576 bytes"), "{}", said(&reader));
    std::fs::write(&file, vec![0; 2 << 20]).unwrap();
    check_template(&reader).unwrap();
    check_template(&command(TemplateMemory::shared(&file, mib!(2)))).unwrap();
}
