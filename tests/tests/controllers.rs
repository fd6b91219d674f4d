//! Ports are on the controller that their handle came from, wherever QEMU would look first.

use std::time::Duration;

use qemu_dsl::bus::{HasBus, Virtio};
use qemu_dsl::machine::{MachineType, RunsUnder};
use qemu_dsl::prelude::*;
use qemu_dsl::vm::Target;
use serde_json::json;
use tests::{Judged, Qemu, judge_with, qemus};

fn check<M>(qemu: &Qemu, machine: M, cpu: impl qemu_dsl::cpu::CpuFor<M, Tcg>)
where
    M: MachineType + RunsUnder<Tcg> + HasBus<Virtio>,
{
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("qmp.sock");
    let binary = qemu.binary(machine.architecture());
    let target = Target::default().binary(&binary).version(qemu.version);
    let mut vm = Vm::for_target(&target, machine, Tcg::new(), cpu, mib!(64));
    vm.without_kernel().qmp(SocketPath::new(&socket).unwrap());
    let add = |vm: &mut Vm<M, Tcg>, id, port| {
        let null = vm.chardev(NullChardev {});
        vm.add_as(id, VirtSerialPort::new(port, null));
    };
    let (console, [early, late]) = vm.virtio_serial();
    add(&mut vm, id!("early"), early);
    let (_, [second]) = vm.virtio_serial();
    let (_, [third]) = vm.virtio_serial();
    add(&mut vm, id!("third"), third);
    add(&mut vm, id!("late"), late);
    add(&mut vm, id!("second"), second);
    let stdio = vm.chardev(Stdio::new());
    let command = vm.virtconsole(console, stdio).build().unwrap();
    let judged = judge_with(&command, &socket, |qmp| {
        let mut bus = |id: &str| {
            let of = json!({ "path": format!("/machine/peripheral/{id}"), "property": "parent_bus" });
            let bus = qmp.execute("qom-get", Some(of), Duration::from_secs(10)).unwrap();
            bus.as_str().unwrap().rsplit('/').next().unwrap().to_owned()
        };
        let found = ["early", "late", "second", "third"].map(&mut bus);
        let expected = ["virtio-serial-bus.0", "virtio-serial-bus.0", "virtio-serial1.0", "virtio-serial2.0"];
        assert_eq!(found, expected, "QEMU {}\n{command}", qemu.version);
    });
    assert!(matches!(judged, Judged::Accepted { .. }), "QEMU {}: {judged:?}\n{command}", qemu.version);
}

#[test]
fn ports_are_on_their_own_controller() {
    for qemu in qemus() {
        check(&qemu, Pc::new(), Haswell::new());
        check(&qemu, Q35::new(), Haswell::new());
        check(&qemu, Microvm::new(), Haswell::new());
        check(&qemu, Microvm::with_pcie(), Haswell::new());
        check(&qemu, Virt::new(), CortexA57::new());
        check(&qemu, VirtPcie::new(), CortexA57::new());
    }
}
