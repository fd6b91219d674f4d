//! What configurations decide: the console by an `if`, machine type and accelerator, optional devices; VMs in vectors and structs.
use qemu_dsl::accel::AnyAccel;
use qemu_dsl::backend::Chardev;
use qemu_dsl::cpu::BestCpu;
use qemu_dsl::machine::AnyMachine;
use qemu_dsl::prelude::*;
use qemu_dsl::vm::AnyConsole;
use qemu_dsl::{HostFacts, QemuCommand};

type AnyVmOf = Vm<AnyMachine, AnyAccel, AnyConsole>;

/// A builder of one's own around the VM.
struct Definition {
    vm: AnyVmOf,
    console: Option<Chardev>,
}

impl Definition {
    fn console(&mut self, on_serial: bool) {
        let Some(chardev) = self.console.take() else { return };
        if on_serial {
            self.vm.set_uart_console(chardev);
        } else {
            let (port, []) = self.vm.virtio_serial();
            self.vm.set_virtconsole(port, chardev);
        }
    }
}

/// Everything that every VM has.
fn usual(vm: &mut impl AnyVm, balloon: Option<VirtioBalloon>, mac: Option<MacAddress>) {
    let random = vm.rng_backend(RngRandom::urandom());
    let (_, [agent]) = vm.virtio_serial();
    let socket = vm.chardev(Socket::listen(SocketPath::new("agent.sock").unwrap()));
    let net = vm.netdev(UserNetdev::new());
    let card = VirtioNet::new(net);
    vm.add(VirtioRng::new(random))
        .add(VirtSerialPort::new(agent, socket).name("org.example.agent"))
        .add(match mac {
            Some(mac) => card.mac(mac),
            None => card,
        })
        .add_all(balloon)
        .kernel(Kernel::new("vmlinuz").cmdline("quiet"))
        .smp(Smp::new(2).unwrap())
        .name("a")
        .no_reboot()
        .qmp(SocketPath::new("qmp.sock").unwrap());
}

fn chain() -> QemuCommand {
    Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64)).add(VirtioBalloon::new()).no_reboot().build().unwrap()
}

fn main() {
    let facts = HostFacts::example();
    let mut vms = Vec::new();
    // The machine type is known, the accelerator is not.
    vms.push(Vm::new(Q35::new(), facts.accelerator(), BestCpu::new(), mib!(64)).into_any());
    vms.push(Vm::new(Virt::new(), Tcg::new(), CortexA57::new(), mib!(64)).into_any());
    let mut with_console = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    let stdio = with_console.chardev(Stdio::new());
    vms.push(with_console.isa_serial_console(stdio).into_any());
    for (number, mut vm) in vms.into_iter().enumerate() {
        usual(&mut vm, (number > 0).then(VirtioBalloon::new), MacAddress::parse("52:54:00:00:00:01").ok());
        if number == 2 {
            vm.build().unwrap();
            continue;
        }
        let console = Some(vm.chardev(LogFile::new("console.log")));
        let mut definition = Definition { vm, console };
        definition.console(number == 0);
        definition.vm.build().unwrap();
    }
    chain();
}
