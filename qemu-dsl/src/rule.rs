//! The rules of the library, as data: what must not be, why, and what to do instead. The builder holds them, by types where types can;
//! who shows rules to people finds their words here.
//!
//! What QEMU makes of each mistake is measured, and written down in `docs/rules.md`, by id.

/// One rule.
///
/// ```
/// use qemu_dsl::prelude::*;
/// use qemu_dsl::rule;
///
/// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// vm.add(VirtioBalloon::new()).add(VirtioBalloon::new());
/// let errors = vm.build().unwrap_err();
/// let broken = errors.errors()[0].rule().unwrap();
/// assert_eq!(broken.id, "single-device-twice");
/// assert_eq!(rule::by_id("single-device-twice").unwrap().remedy, "keep one");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Its name, which stays: words with hyphens.
    pub id: &'static str,
    /// What the mistake is.
    pub title: &'static str,
    /// Why it is found where it is found, or why it is a rule at all.
    pub why: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Whether it is this library's own: every QEMU takes such a command line, and its guest may well be fine.
    pub is_policy: bool,
}

/// The rule with this id.
pub fn by_id(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

macro_rules! rules {
    ($($id:literal $kind:ident $title:literal, $why:literal, $remedy:literal;)*) => {
        &[$(Rule { id: $id, title: $title, why: $why, remedy: $remedy, is_policy: rules!(@ $kind) }),*]
    };
    (@ policy) => { true };
    (@ qemu) => { false };
}

/// All rules.
pub const RULES: &[Rule] = rules! {
    "pci-on-virt" policy
        "a PCI device on `Virt`",
        "Policy. QEMU's board has PCIe; `Virt` stands for guests without a PCI driver, and `VirtPcie` is the same board with it.",
        "use `VirtPcie`, the same board with PCIe";
    "pci-without-pcie" qemu
        "a PCI device on a `Microvm` without PCIe",
        "`Microvm::with_pcie()` is another type.",
        "add `pcie=on`: `Microvm::with_pcie()`";
    "mmio-without-mmio" qemu
        "a virtio-mmio device on `Pc` or `Q35`",
        "A virtio device without `OnMmio` or `OnPci` fits every machine type.",
        "use the device without `OnMmio`: its PCI form, `virtio-...-pci`";
    "second-console" qemu
        "a second console",
        "The kernel gets one `console=`; what two consoles write to one place is mixed.",
        "keep one console; more text goes through a `VirtSerialPort`, the kernel's messages through `uart_log`";
    "foreign-uart" qemu
        "an ISA serial console on `Virt`, a PL011 elsewhere",
        "Each machine type has the console methods of its own ports.",
        "use the machine type's own serial port, or a virtconsole";
    "uart-off" qemu
        "an ISA serial console on a `Microvm` whose ISA serial port is off",
        "`without_isa_serial()` leads to another type.",
        "leave the ISA serial port on, or use a virtconsole";
    "console-in-cmdline" qemu
        "`console=` on the kernel command line of a VM with a console",
        "The text may come from elsewhere, so its words are looked at when the VM is built. The console method writes the parameter. Linux's own splitting decides what is one, quotes and its odd spaces included. `Kernel::own_console()` leaves the text as it is.",
        "leave `console=` out: the console's method writes it; or say `Kernel::own_console()`";
    "cpu-model-for-accelerator" qemu
        "`Host` under TCG, a named model under KVM",
        "Policy for the second half: a model under KVM hides what the host has, or asks for what it lacks.",
        "`host` under KVM and HVF, a named model under TCG, or `BestCpu`";
    "no-timers" qemu
        "no PIT and PIC without a TSC deadline timer",
        "The proof comes from a probe; TCG has no such timer.",
        "leave PIT, PIC and RTC on, or use an accelerator whose TSC deadline timer is proven";
    "microvm-option-elsewhere" qemu
        "options of `microvm` on another machine type",
        "They are methods of `Microvm`.",
        "leave the option out, or use `microvm`";
    "foreign-accelerator" qemu
        "KVM or HVF for a foreign architecture; an option of Linux on macOS",
        "`Kvm<A>` and `Hvf<A>` carry the host's architecture, `LinuxHost` is a proof.",
        "use TCG for guests of another architecture";
    "iothread-without-ioeventfd" qemu
        "an I/O thread where the machine has no ioeventfd",
        "`iothread_since` takes the proof of QEMU 10.0, from which on virtio-mmio has it under TCG.",
        "leave the I/O thread out, use PCI, or QEMU 10.0 and later";
    "no-handle" qemu
        "a back end itself, by name, forged, of another kind, or never created",
        "Only the builder makes handles.",
        "add the back end first, and give the device what that returns";
    "back-end-moved-twice" qemu
        "one back end in two front ends",
        "A handle is moved into the front end. `mux_chardev` and `shared_image` return what QEMU does let several share.",
        "add a back end for each, or share with `mux_chardev` or `shared_image`";
    "foreign-handle" qemu
        "a handle of another VM",
        "A brand on each VM's type would be unreadable in messages; the handle knows its VM instead.",
        "add the back end to the VM that uses it";
    "port-number" qemu
        "a port without a controller, port 0, a port twice, a port past `max_ports`",
        "The controller returns its ports, and a pattern takes as many as it names.",
        "take the port that the controller gives; port 0 is the console's";
    "too-many-ports" qemu
        "more ports than a controller can have",
        "The number may come from data.",
        "add another virtio-serial controller";
    "console-as-device" policy
        "a console as an ordinary device",
        "Policy. The console method also writes `console=`, and keeps a second console out.",
        "use `vm.virtconsole(port, chardev)`, which also writes `console=`";
    "aio-unproven" qemu
        "`io_uring` without its proof, native AIO without a direct cache",
        "The proof says that kernel and binary have it; `Aio::Native` carries the cache.",
        "use threads; or prove io_uring by a probe; native AIO needs a cache that goes past the host's page cache";
    "option-of-another-version" qemu
        "an option before its version",
        "Where a version is known only as a value, the builder checks each option's `since` and `until` when it writes it.",
        "leave the option out, or name a target that has it";
    "no-memory" policy
        "0 MiB of memory",
        "`mib!` checks a literal when it is compiled, `Memory::from_mib` a number from elsewhere.",
        "give the guest at least 1 MiB";
    "cpu-count" qemu
        "0 CPUs, or more than the maximum",
        "Numbers decide.",
        "start with at least one CPU, and no more than the maximum";
    "memory-size-differs" qemu
        "a memory back end of another size than `-m`",
        "There is one value: `TemplateMemory` is the memory.",
        "give the memory back end the size of `-m`";
    "balloon-on-template" qemu
        "a balloon on a memory template",
        "A fourth type parameter on every `Vm`, for one rule of two parts, would cost every user more than it helps.",
        "leave the balloon out, or use memory that is no template";
    "single-device-twice" qemu
        "two balloons",
        "A device in a loop is one type, however often it runs.",
        "keep one";
    "mmio-transports" qemu
        "more virtio-mmio devices than transports",
        "The number of devices is not in the type, so that loops work.",
        "remove some devices, or use PCI";
    "no-option-value" qemu
        "a struct without the derive, a field that is no option value, wrong attributes",
        "All mistakes of an item are reported at once.",
        "derive `QemuOpts`, or implement `OptValue`";
    "unchecked-text" qemu
        "text where an id, a socket path, a serial number or a size is wanted",
        "Each has a constructor that checks it, and says the limit.",
        "make the value by its constructor, which says what is wrong with a text";
    "acpi-without-option-roms" qemu
        "`acpi=on` with `x-option-roms=off` and a kernel",
        "SeaBIOS needs the option ROM to load the kernel.",
        "leave the option ROMs on, or ACPI off";
    "mux-front-ends" qemu
        "more than four front ends on one chardev",
        "`mux_chardev` returns four handles.",
        "add another character device";
    "port-name-twice" qemu
        "two ports of one name",
        "Names may come from data.",
        "give one of them another name";
    "stdio-twice" qemu
        "standard input for two character devices",
        "A `Stdio` is a value like any other.",
        "use a socket for one, or share one with `mux_chardev`";
    "id-twice" qemu
        "one id twice",
        "Ids may come from data.",
        "give one of them another id";
    "node-name-length" qemu
        "a node name of more than 31 bytes",
        "An id may have 95.",
        "shorten the name to 31 bytes";
    "queues" qemu
        "a number or size of queues that no block device has",
        "A value decides.",
        "choose a possible number of queues, and a power of two for their size";
    "burst-without-limit" qemu
        "a limit for bursts without a limit, or below it",
        "The limits may come from data.",
        "set the limit, and a burst of at least that";
    "serial-twice" policy
        "two disks of one serial number",
        "Guests name disks by it: `/dev/disk/by-id` leads to either.",
        "give one of them another serial number";
    "mac" policy
        "a MAC address that no device can have, or that two have",
        "`MacAddress` refuses addresses of groups and other text; that two are the same shows when the VM is built.",
        "give each card an address of its own that is no group's";
    "machine-cpus" qemu
        "more CPUs than the machine type has",
        "The number may come from data.",
        "start with fewer CPUs, or use a machine type that has more";
    "highmem-memory" qemu
        "more memory than fits below 4 GiB, with `highmem(false)`",
        "The amount may come from data.",
        "give it less memory, or leave `highmem` on";
    "cmdline-length" qemu
        "a kernel command line that the kernel cuts off",
        "Kernels keep 2047 bytes of it, and on a microvm without ACPI QEMU adds to them.",
        "shorten the kernel command line";
    "shared-image-on-iothread" qemu
        "a shared image in several devices, one of them with an I/O thread",
        "Which devices share an image, and which version starts, is known when the VM is built. With a target of 10.0 or later it is built.",
        "leave out the I/O thread, use a drive for each, or QEMU 10.0 and later";
    "cpu-model-of-another-machine" qemu
        "a CPU model that was chosen for another machine or accelerator",
        "`BestCpu` is chosen by the VM that it is given to.",
        "use a model of the machine's architecture, or `BestCpu`";
    "proof-of-another-version" qemu
        "the proof of another version than the target's",
        "A proof is a value, and the target is one too: where both are known, they are compared.",
        "take the proof from the version that will run";
    "reconnect-in-seconds" qemu
        "`reconnect` in seconds where it is gone",
        "The proof has both ends.",
        "use `reconnect-ms` from QEMU 9.2 on";
    "iothread-on-mmio" qemu
        "an I/O thread for a virtio-mmio device of a machine that has ioeventfd for PCI only",
        "The transport is chosen when the device is added, after the thread.",
        "put the device on PCI, or use QEMU 10.0 and later";
    "unused" policy
        "a back end, a port or a controller that nothing uses",
        "The guest would not see it. The compiler warns of a handle that is dropped; what is kept for later is said with `vm.spare`.",
        "give it to a device, or keep it for later with `vm.spare`";
    "back-end-twice" qemu
        "one back end in two front ends, through a reference",
        "A reference to a handle is an option value too, so uses are counted.",
        "add a back end for each";
    "once-twice" qemu
        "the kernel, the CPUs or the name twice",
        "Choices at run time say a thing again. QEMU would boot the second kernel with the first one's initial RAM disk, and merge the CPUs.",
        "say it once: the last one counts";
    "number-range" qemu
        "numbers that QEMU does not count to",
        "A value decides.",
        "choose a number that QEMU counts to";
    "path-twice" policy
        "one path for two sockets, or for a log and a disk",
        "Paths may come from data. The second socket takes the path from the first, and a log file is emptied when QEMU starts.",
        "give one of them another path";
    "image-twice" qemu
        "one disk image for two drives",
        "Only what is literally the same path is found. `vm.shared_image` is for an image that nobody writes.",
        "share the image read-only, or give one of them an image of its own";
    "place-twice" qemu
        "one place in the boot order, or one chassis and slot, for two devices",
        "The numbers may come from data.",
        "give one of them another place";
    "mac-that-qemu-gives" policy
        "a MAC address that QEMU gives to another device",
        "QEMU counts up from 52:54:00:12:34:56 where a device has none, and does not look at those that follow.",
        "give both cards an address, or this one another";
    "reserved-id" qemu
        "an id that QEMU keeps for itself",
        "Ids may come from data.",
        "take another id";
    "empty-path" qemu
        "an empty path",
        "Paths may come from data.",
        "name the file";
    "one-way-monitor" qemu
        "a monitor on a character device that does not both read and write",
        "Back ends say which they are; one handle type for all of them lets loops and vectors work.",
        "use a `Socket` or `Stdio` for the monitor";
    "template-file" policy
        "a memory template that is not there, is no file, or is too small",
        "Files are looked at before QEMU starts, not when the VM is built.",
        "make the file first, as large as the guest's memory";
    "closed-descriptor" qemu
        "a socket that is closed before QEMU gets it",
        "`PassedSocket` borrows its listener, and two character devices with one descriptor are an error of the VM.",
        "keep the socket open until QEMU has it";
    "flag-and-value-in-one" qemu
        "a flag and its value in one raw argument",
        "An argument with a hyphen first is a flag to QEMU, and none of its flags has a space. An empty argument would be a disk image.",
        "give flag and value as two arguments";
    "pci-slots" qemu
        "more PCI devices than there is room for",
        "The number of devices is not in the type, so that loops work.",
        "remove some devices, or put several on a controller or behind a bridge";
    "tcg-cpus" qemu
        "more CPUs than the version has under TCG, or with its interrupt controller",
        "The limits are in the table of machine types, by version; a version that nobody knows counts as the oldest.",
        "start with fewer CPUs, name a newer target, or another interrupt controller";
    "cpu-hotplug" policy
        "a maximum of CPUs where none can be plugged in",
        "The numbers may come from data.",
        "start with all CPUs, and leave the maximum out";
    "nothing-to-boot" policy
        "nothing to boot",
        "Whether there is a kernel is not in the type. `without_kernel()` says that it is meant.",
        "give it a kernel or firmware, or say `without_kernel()`";
    "machine-version" qemu
        "a version of a machine type that there never was, or that this QEMU does not have",
        "The version may come from data; the table of machine types knows the oldest, and the target the newest.",
        "name a version that there was, and that the target has";
    "no-timers-at-run-time" qemu
        "no timers on a machine type, under an accelerator, both chosen at run time",
        "`AnyVirtioMachine` takes a `Microvm` with or without timers; which one it is, only the value tells.",
        "leave the timers on, or use hardware acceleration";
    "any-machine" qemu
        "a machine type chosen at run time that lacks what all choices have",
        "`AnyPciMachine` is made from machine types with PCI, and so on: what enters has it all.",
        "choose from machine types that have what all choices need";
    "uart-without-a-name" qemu
        "a machine type of your own that promises a UART and does not say what Linux calls it",
        "Without `console=` the kernel's own guess decides, which is the screen on a PC.",
        "say what Linux calls the port: `HasUart`";
    "handle-dropped" policy
        "a part that is made and forgotten",
        "The guest would not see it. Handles are `#[must_use]`, and a lint of the compiler's names the one that is dropped.",
        "give it to a device, or keep it for later with `vm.spare`";
    "wrong-argument" qemu
        "an accelerator, a machine type, a CPU model or memory in the place of another",
        "Each has a type of its own. What is no accelerator is one error, and nothing is said of what stands beside it.",
        "the order is machine type, accelerator, CPU model, memory";
    "value-twice" qemu
        "one value twice that a device of your own says must differ",
        "`#[qemu(unique = \"...\")]` on a field compares what all devices of the VM have there.",
        "give one of them another value";
};
