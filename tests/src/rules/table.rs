//! The table of rules.
//!
//! Longer than other files: it is data, and reads best in one piece.

use qemu_dsl::accel::Architecture::{Aarch64, X86_64};

use super::Does::{Accepts, Boots, Loses, Rejects};
use super::{Held, Loss, Rule, Twin};

const ALL: &str = "5.2 7.2 10.0 11.1";

macro_rules! snippet {
    ($name:literal) => {
        Held::RunTime {
            source: include_str!(concat!("../../rules/", $name, ".rs")),
            error: || {
                fn wrong() -> Result<(), Box<dyn std::error::Error>> {
                    include!(concat!("../../rules/", $name, ".rs"))
                }
                wrong().expect_err(concat!("the mistake in ", $name)).to_string()
            },
        }
    };
}

macro_rules! replaced {
    ($name:literal) => {
        Held::Replaced {
            source: include_str!(concat!("../../rules/", $name, ".rs")),
            command: || {
                fn last() -> Result<qemu_dsl::QemuCommand, Box<dyn std::error::Error>> {
                    include!(concat!("../../rules/", $name, ".rs"))
                }
                last().expect("it is built").to_string()
            },
        }
    };
}

/// All rules.
pub const RULES: &[Rule] = &[
    Rule {
        title: "a PCI device on `Virt`",
        held: Held::Compiler(&["bus/pci_on_virt", "bus/nvme_on_virt", "bus/root_port_on_virt", "bus/nvme_on_any_vm"]),
        why: "Policy. QEMU's board has PCIe; `Virt` stands for guests without a PCI driver, and `VirtPcie` is the same board with it.",
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt -cpu cortex-a57 -device virtio-rng-pci",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        title: "a PCI device on a `Microvm` without PCIe",
        held: Held::Compiler(&[
            "bus/nvme_on_microvm",
            "bus/root_port_on_microvm_with_acpi",
            "bus/own_device_without_its_bus",
        ]),
        why: "`Microvm::with_pcie()` is another type.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off -device virtio-rng-pci",
            does: &[(ALL, Rejects("No 'PCI' bus found for device 'virtio-rng-pci'"))],
        }],
    },
    Rule {
        title: "a virtio-mmio device on `Pc` or `Q35`",
        held: Held::Compiler(&["bus/mmio_on_pc", "bus/mmio_on_q35", "bus/mmio_with_an_id"]),
        why: "A virtio device without `OnMmio` or `OnPci` fits every machine type.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-rng-device",
            does: &[(ALL, Rejects("No 'virtio-bus' bus found for device 'virtio-rng-device'"))],
        }],
    },
    Rule {
        title: "a second console",
        held: Held::Compiler(&[
            "console/virtconsole_after_isa_serial",
            "console/isa_serial_after_virtconsole",
            "console/virtconsole_after_pl011",
        ]),
        why: "The kernel gets one `console=`; what two consoles write to one place is mixed.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -chardev null,id=c -serial chardev:c -device virtio-serial-pci -device virtconsole,chardev=c",
                does: &[(ALL, Rejects("in use"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -chardev null,id=c,mux=on -serial chardev:c -device virtio-serial-pci -device virtconsole,chardev=c",
                does: &[(ALL, Accepts)],
            },
        ],
    },
    Rule {
        title: "an ISA serial console on `Virt`, a PL011 elsewhere",
        held: Held::Compiler(&["console/isa_serial_on_virt", "console/pl011_on_q35", "machine/isa_serial_of_virt"]),
        why: "Each machine type has the console methods of its own ports.",
        twins: &[
            Twin {
                arch: Aarch64,
                args: "-M virt -cpu cortex-a57 -device isa-serial",
                does: &[(ALL, Rejects("'isa-serial' is not a valid device model name"))],
            },
            Twin {
                arch: X86_64,
                args: "-M q35 -device pl011",
                does: &[(ALL, Rejects("'pl011' is not a valid device model name"))],
            },
        ],
    },
    Rule {
        title: "an ISA serial console on a `Microvm` whose ISA serial port is off",
        held: Held::Compiler(&["console/isa_serial_switched_off"]),
        why: "`without_isa_serial()` leads to another type.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off,isa-serial=off -serial stdio -append console=ttyS0",
            does: &[(ALL, Loses(Loss::Console))],
        }],
    },
    Rule {
        title: "`console=` on the kernel command line of a VM with a console",
        held: snippet!("console_in_cmdline"),
        why: "The text may come from elsewhere, so its words are looked at when the VM is built. The console method writes the parameter. Linux's own splitting decides what is one, quotes and its odd spaces included. `Kernel::own_console()` leaves the text as it is.",
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt -cpu cortex-a57 -serial none -append console=ttyAMA0",
            does: &[(ALL, Loses(Loss::Console))],
        }],
    },
    Rule {
        title: "`Host` under TCG, a named model under KVM",
        held: Held::Compiler(&[
            "cpu/host_under_tcg",
            "cpu/haswell_under_kvm",
            "cpu/haswell_on_aarch64",
            "cpu/name_instead_of_model",
        ]),
        why: "Policy for the second half: a model under KVM hides what the host has, or asks for what it lacks.",
        twins: &[
            Twin { arch: X86_64, args: "-M q35 -cpu host", does: &[(ALL, Rejects("CPU model 'host' requires KVM"))] },
            Twin {
                arch: Aarch64,
                args: "-M virt -cpu Haswell",
                does: &[(ALL, Rejects("unable to find CPU model 'Haswell'"))],
            },
        ],
    },
    Rule {
        title: "no PIT and PIC without a TSC deadline timer",
        held: Held::Compiler(&["timers/off_under_tcg", "timers/without_proof", "timers/forged_proof"]),
        why: "The proof comes from a probe; TCG has no such timer.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off,pit=off,pic=off -serial stdio -append console=ttyS0",
            does: &[(ALL, Loses(Loss::Boot))],
        }],
    },
    Rule {
        title: "options of `microvm` on another machine type",
        held: Held::Compiler(&["machine/timers_of_pc"]),
        why: "They are methods of `Microvm`.",
        twins: &[Twin { arch: X86_64, args: "-M q35,isa-serial=off", does: &[(ALL, Rejects("Property 'pc-q35-"))] }],
    },
    Rule {
        title: "KVM or HVF for a foreign architecture; an option of Linux on macOS",
        held: Held::Compiler(&[
            "accel/kvm_on_a_foreign_machine",
            "accel/hvf_on_a_foreign_machine",
            "accel/forged_kvm",
            "machine/core_dump_without_linux",
            "accel/arguments_in_another_order",
        ]),
        why: "`Kvm<A>` and `Hvf<A>` carry the host's architecture, `LinuxHost` is a proof.",
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt -cpu host -accel kvm",
            does: &[(ALL, Rejects("invalid accelerator kvm"))],
        }],
    },
    Rule {
        title: "an I/O thread where the machine has no ioeventfd",
        held: Held::Compiler(&["iothread/microvm_under_tcg", "iothread/virt_under_tcg"]),
        why: "`iothread_since` takes the proof of QEMU 10.0, from which on virtio-mmio has it under TCG.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off -object iothread,id=io -drive file={dir}/disk.raw,format=raw,if=none,id=d -device virtio-blk-device,drive=d,iothread=io",
            does: &[("5.2 7.2", Rejects("ioeventfd is required for iothread")), ("10.0 11.1", Accepts)],
        }],
    },
    Rule {
        title: "a back end itself, by name, forged, of another kind, or never created",
        held: Held::Compiler(&[
            "handle/drive_itself",
            "handle/chardev_itself",
            "handle/back_end_as_a_device",
            "handle/device_as_a_netdev",
            "handle/drive_by_name",
            "handle/forged",
            "handle/never_created",
            "handle/of_another_kind",
            "iothread/by_name",
        ]),
        why: "Only the builder makes handles.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -device virtio-blk-pci,drive=nope",
                does: &[(ALL, Rejects("can't find value 'nope'"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d",
                does: &[(ALL, Accepts)],
            },
        ],
    },
    Rule {
        title: "one back end in two front ends",
        held: Held::Compiler(&["handle/chardev_twice", "handle/drive_twice", "handle/netdev_twice"]),
        why: "A handle is moved into the front end. `mux_chardev` and `shared_image` return what QEMU does let several share.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d -device virtio-blk-pci,drive=d -device virtio-blk-pci,drive=d",
                does: &[(ALL, Rejects("already in use"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -netdev user,id=n -device virtio-net-pci,netdev=n -device virtio-net-pci,netdev=n",
                does: &[(ALL, Rejects("in use"))],
            },
        ],
    },
    Rule {
        title: "a handle of another VM",
        held: snippet!("foreign_handle"),
        why: "A brand on each VM's type would be unreadable in messages; the handle knows its VM instead.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-serial-pci -device virtserialport,chardev=elsewhere",
            does: &[(ALL, Rejects("can't find value 'elsewhere'"))],
        }],
    },
    Rule {
        title: "a port without a controller, port 0, a port twice, a port past `max_ports`",
        held: Held::Compiler(&[
            "serial/port_past_max_ports",
            "serial/port_without_controller",
            "serial/port_0_for_a_channel",
            "serial/port_twice",
            "serial/number_for_a_port",
        ]),
        why: "The controller returns its ports, and a pattern takes as many as it names.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -device virtserialport",
                does: &[(ALL, Rejects("No 'virtio-serial-bus' bus found for device 'virtserialport'"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -device virtio-serial-pci -device virtserialport,nr=0",
                does: &[(ALL, Rejects("Port number 0 on virtio-serial devices reserved for virtconsole"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -device virtio-serial-pci -device virtserialport,nr=1 -device virtserialport,nr=1",
                does: &[(ALL, Rejects("A port already exists at id 1"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -device virtio-serial-pci,max_ports=2 -device virtserialport,nr=2",
                does: &[(ALL, Rejects("Out-of-range port id specified, max. allowed: 1"))],
            },
        ],
    },
    Rule {
        title: "more ports than a controller can have",
        held: snippet!("too_many_ports"),
        why: "The number may come from data.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-serial-pci,max_ports=512",
            does: &[(ALL, Rejects("maximum ports supported: 511"))],
        }],
    },
    Rule {
        title: "a console as an ordinary device",
        held: Held::Compiler(&["console/virtconsole_as_a_device"]),
        why: "Policy. The console method also writes `console=`, and keeps a second console out.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -serial null -device virtio-serial-pci -chardev null,id=c -device virtconsole,chardev=c",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        title: "`io_uring` without its proof, native AIO without a direct cache",
        held: Held::Compiler(&[
            "aio/native_with_page_cache",
            "aio/native_without_cache",
            "aio/io_uring_without_proof",
            "aio/io_uring_as_text",
        ]),
        why: "The proof says that kernel and binary have it; `Aio::Native` carries the cache.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d,cache=unsafe,aio=native",
            does: &[(ALL, Rejects("aio=native was specified, but it requires cache.direct=on"))],
        }],
    },
    Rule {
        title: "an option before its version",
        held: Held::Compiler(&["version/reconnect_ms_without_proof", "version/reconnect_ms_with_an_older_proof"]),
        why: "Where a version is known only as a value, the builder checks each option's `since` and `until` when it writes it.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -netdev stream,id=n,addr.type=unix,addr.path={dir}/listen.sock,reconnect-ms=250 -device virtio-net-pci,netdev=n",
            does: &[
                ("5.2", Rejects("'stream'")),
                ("7.2", Rejects("Parameter 'reconnect-ms' is unexpected")),
                ("10.0 11.1", Accepts),
            ],
        }],
    },
    Rule {
        title: "0 MiB of memory",
        held: Held::Compiler(&["size/no_memory", "size/number_for_memory", "size/memory_missing"]),
        why: "`mib!` checks a literal when it is compiled, `Memory::from_mib` a number from elsewhere.",
        twins: &[Twin { arch: X86_64, args: "-M pc -m 0", does: &[(ALL, Accepts)] }],
    },
    Rule {
        title: "0 CPUs, or more than the maximum",
        held: snippet!("more_cpus_than_max"),
        why: "Numbers decide.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -smp 4,maxcpus=2",
            does: &[(ALL, Rejects("maxcpus must be equal to or greater than smp"))],
        }],
    },
    Rule {
        title: "a memory back end of another size than `-m`",
        held: Held::Compiler(&["size/template_of_another_size"]),
        why: "There is one value: `TemplateMemory` is the memory.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc,memory-backend=mem -m 128M -object memory-backend-ram,id=mem,size=64M",
            does: &[(ALL, Rejects("size"))],
        }],
    },
    Rule {
        title: "a balloon on a memory template",
        held: snippet!("balloon_on_template"),
        why: "A fourth type parameter on every `Vm`, for one rule of two parts, would cost every user more than it helps.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off,memory-backend=mem -object memory-backend-file,id=mem,size=256M,mem-path={dir}/template,share=off -device virtio-balloon-device,id=balloon -serial stdio -append console=ttyS0",
            does: &[(ALL, Loses(Loss::Template))],
        }],
    },
    Rule {
        title: "two balloons",
        held: snippet!("two_balloons"),
        why: "A device in a loop is one type, however often it runs.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-balloon-pci -device virtio-balloon-pci",
            does: &[(ALL, Rejects("Only one balloon device is supported"))],
        }],
    },
    Rule {
        title: "more virtio-mmio devices than transports",
        held: snippet!("too_many_mmio_devices"),
        why: "The number of devices is not in the type, so that loops work.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off -device virtio-rng-device -device virtio-rng-device -device virtio-rng-device -device virtio-rng-device -device virtio-rng-device -device virtio-rng-device -device virtio-rng-device -device virtio-rng-device -device virtio-rng-device",
            does: &[
                ("5.2 7.2 10.0", Rejects("No 'virtio-bus' bus found for device 'virtio-rng-device'")),
                ("11.1", Rejects("A 'virtio-bus' bus was found but is full")),
            ],
        }],
    },
    Rule {
        title: "a struct without the derive, a field that is no option value, wrong attributes",
        held: Held::Compiler(&[
            "derive/missing",
            "derive/field_type",
            "derive/all_mistakes_at_once",
            "derive/not_a_device",
            "derive/device_without_bus",
            "derive/enum_with_head",
            "derive/handle_cannot_be_read",
            "derive/tuple_struct_and_union",
            "derive/half_typed",
            "derive/keys_twice_through_groups",
            "derive/list_of_nothing",
            "derive/names_without_letters",
            "derive/packed",
            "derive/private_bus",
            "derive/required_field_missing",
            "derive/rules",
            "derive/words_twice",
        ]),
        why: "All mistakes of an item are reported at once.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-rng-pci,colour=red",
            does: &[(ALL, Rejects("Property 'virtio-rng-pci.colour' not found"))],
        }],
    },
    Rule {
        title: "text where an id, a socket path, a serial number or a size is wanted",
        held: Held::Compiler(&[
            "id/text_for_an_id",
            "id/text_for_a_socket_path",
            "id/text_for_a_serial_number",
            "id/text_for_a_mac_address",
            "id/no_id",
            "size/number_for_cpus",
        ]),
        why: "Each has a constructor that checks it, and says the limit.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -device virtio-rng-pci,id=0x",
                does: &[(ALL, Rejects("expects an identifier"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -chardev socket,id=c,server=on,wait=off,path=/tmp/0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789",
                does: &[(ALL, Rejects("is too long"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d -device virtio-blk-pci,drive=d,serial=more-than-twenty-characters",
                does: &[(ALL, Accepts)],
            },
        ],
    },
    Rule {
        title: "`acpi=on` with `x-option-roms=off` and a kernel",
        held: Held::Compiler(&["machine/acpi_without_option_roms"]),
        why: "SeaBIOS needs the option ROM to load the kernel.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=on,x-option-roms=off -nographic -monitor none -serial stdio -append console=ttyS0",
            does: &[("5.2 7.2", Boots), ("10.0 11.1", Loses(Loss::BootWith("No bootable device.")))],
        }],
    },
    Rule {
        title: "more than four front ends on one chardev",
        held: Held::Compiler(&["handle/fifth_front_end"]),
        why: "`mux_chardev` returns four handles.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -chardev null,id=c,mux=on -device virtio-serial-pci -device virtserialport,chardev=c -device virtserialport,chardev=c -device virtserialport,chardev=c -device virtserialport,chardev=c -device virtserialport,chardev=c",
            does: &[
                ("5.2 7.2", Rejects("Device 'c' is in use")),
                ("10.0 11.1", Rejects("too many uses of multiplexed chardev 'c' (maximum is 4)")),
            ],
        }],
    },
    Rule {
        title: "two ports of one name",
        held: snippet!("two_ports_of_one_name"),
        why: "Names may come from data.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-serial-pci -device virtserialport,name=a -device virtserialport,name=a",
            does: &[(ALL, Rejects("A port already exists by name a"))],
        }],
    },
    Rule {
        title: "standard input for two character devices",
        held: snippet!("stdio_twice"),
        why: "A `Stdio` is a value like any other.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -chardev stdio,id=a -chardev stdio,id=b",
            does: &[(ALL, Rejects("cannot use stdio by multiple character devices"))],
        }],
    },
    Rule {
        title: "one id twice",
        held: snippet!("one_id_twice"),
        why: "Ids may come from data.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-rng-pci,id=a -device virtio-rng-pci,id=a",
            does: &[("5.2", Rejects("Duplicate ID 'a' for device")), ("7.2 10.0 11.1", Rejects("uplicate"))],
        }],
    },
    Rule {
        title: "a node name of more than 31 bytes",
        held: snippet!("long_node_name"),
        why: "An id may have 95.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -blockdev driver=null-co,node-name=a123456789b123456789c123456789de",
            does: &[(ALL, Rejects("Node name too long"))],
        }],
    },
    Rule {
        title: "a number or size of queues that no block device has",
        held: snippet!("too_many_queues"),
        why: "A value decides.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d -device virtio-blk-pci,drive=d,queue-size=100",
                does: &[(ALL, Rejects("must be a power of 2 (max 1024)"))],
            },
            Twin {
                arch: X86_64,
                args: "-M microvm,acpi=off -drive file={dir}/disk.raw,format=raw,if=none,id=d -device virtio-blk-device,drive=d,num-queues=0",
                does: &[(ALL, Rejects("num-queues property must be larger than 0"))],
            },
        ],
    },
    Rule {
        title: "a limit for bursts without a limit, or below it",
        held: snippet!("burst_without_limit"),
        why: "The limits may come from data.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d,bps_max=100",
                does: &[(ALL, Rejects("bps_max/iops_max require corresponding bps/iops values"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d,iops=1000,iops_max=500",
                does: &[(ALL, Rejects("bps_max/iops_max cannot be lower than bps/iops"))],
            },
        ],
    },
    Rule {
        title: "two disks of one serial number",
        held: snippet!("two_disks_of_one_serial"),
        why: "Guests name disks by it: `/dev/disk/by-id` leads to either.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -blockdev file,node-name=d,read-only=on,filename={dir}/disk.raw -device virtio-blk-pci,drive=d,serial=data -device virtio-blk-pci,drive=d,serial=data",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        title: "a MAC address that no device can have, or that two have",
        held: snippet!("two_cards_of_one_mac"),
        why: "`MacAddress` refuses addresses of groups and other text; that two are the same shows when the VM is built.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -netdev user,id=a -device virtio-net-pci,netdev=a,mac=52:54:00:00:00:01 -netdev user,id=b -device virtio-net-pci,netdev=b,mac=52:54:00:00:00:01",
                does: &[(ALL, Accepts)],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -netdev user,id=a -device virtio-net-pci,netdev=a,mac=01:00:5e:00:00:01",
                does: &[(ALL, Accepts)],
            },
        ],
    },
    Rule {
        title: "more CPUs than the machine type has",
        held: snippet!("more_cpus_than_the_machine_has"),
        why: "The number may come from data.",
        twins: &[
            Twin {
                arch: Aarch64,
                args: "-M virt,gic-version=2 -cpu cortex-a57 -smp 9",
                does: &[(ALL, Rejects("exceeds max CPUs supported by machine"))],
            },
            Twin { arch: X86_64, args: "-M pc -smp 256", does: &[(ALL, Rejects("Invalid SMP CPUs 256"))] },
        ],
    },
    Rule {
        title: "more memory than fits below 4 GiB, with `highmem(false)`",
        held: snippet!("more_memory_than_the_machine_has"),
        why: "The amount may come from data.",
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt,highmem=off -cpu cortex-a57 -m 4096M",
            does: &[("5.2", Accepts), ("7.2 10.0 11.1", Rejects("Addressing limited to 32 bits"))],
        }],
    },
    Rule {
        title: "a kernel command line that the kernel cuts off",
        held: snippet!("long_cmdline"),
        why: "Kernels keep 2047 bytes of it, and on a microvm without ACPI QEMU adds to them.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M microvm,acpi=off -serial stdio -append console=ttyS0\tlong={long}",
                does: &[(ALL, Loses(Loss::Boot))],
            },
            Twin {
                arch: Aarch64,
                args: "-M virt -cpu cortex-a57 -serial stdio -append console=ttyAMA0\tlong={long}\troot=/dev/vda",
                does: &[(ALL, Loses(Loss::Cmdline))],
            },
        ],
    },
    Rule {
        title: "a shared image in several devices, one of them with an I/O thread",
        held: snippet!("shared_image_on_a_thread"),
        why: "Which devices share an image, and which version starts, is known when the VM is built. With a target of 10.0 or later it is built.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M q35 -serial stdio -append console=ttyS0 -blockdev file,node-name=d,read-only=on,filename={dir}/disk.raw -object iothread,id=i -device virtio-blk-pci,drive=d,iothread=i -device virtio-blk-pci,drive=d,iothread=i",
            does: &[("5.2", Loses(Loss::Boot)), ("7.2", Loses(Loss::Abort)), ("10.0 11.1", Boots)],
        }],
    },
    Rule {
        title: "a CPU model that was chosen for another machine or accelerator",
        held: Held::Compiler(&["cpu/best_of_another_machine"]),
        why: "`BestCpu` is chosen by the VM that it is given to.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -cpu cortex-a57",
            does: &[(ALL, Rejects("unable to find CPU model 'cortex-a57'"))],
        }],
    },
    Rule {
        title: "the proof of another version than the target's",
        held: snippet!("proof_of_another_version"),
        why: "A proof is a value, and the target is one too: where both are known, they are compared.",
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt -cpu cortex-a57 -object iothread,id=i -drive file={dir}/disk.raw,format=raw,if=none,id=d -device virtio-blk-device,drive=d,iothread=i",
            does: &[("5.2 7.2", Rejects("ioeventfd is required for iothread")), ("10.0 11.1", Accepts)],
        }],
    },
    Rule {
        title: "`reconnect` in seconds where it is gone",
        held: Held::Compiler(&["version/reconnect_seconds_with_a_lower_bound"]),
        why: "The proof has both ends.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -netdev stream,id=n,addr.type=unix,addr.path={dir}/listen.sock,reconnect=5 -device virtio-net-pci,netdev=n",
            does: &[
                ("5.2", Rejects("'stream'")),
                ("7.2", Rejects("Parameter 'reconnect' is unexpected")),
                ("10.0", Accepts),
                ("11.1", Rejects("Parameter 'reconnect' is unexpected")),
            ],
        }],
    },
    Rule {
        title: "an I/O thread for a virtio-mmio device of a machine that has ioeventfd for PCI only",
        held: snippet!("iothread_on_mmio"),
        why: "The transport is chosen when the device is added, after the thread.",
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt -cpu cortex-a57 -object iothread,id=i -drive file={dir}/disk.raw,format=raw,if=none,id=d -device virtio-blk-device,drive=d,iothread=i",
            does: &[("5.2 7.2", Rejects("ioeventfd is required for iothread")), ("10.0 11.1", Accepts)],
        }],
    },
    Rule {
        title: "a back end, a port or a controller that nothing uses",
        held: snippet!("unused"),
        why: "The guest would not see it. The compiler warns of a handle that is dropped; what is kept for later is said with `vm.spare`.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d -chardev null,id=c -object iothread,id=i -device virtio-serial-pci",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        title: "one back end in two front ends, through a reference",
        held: snippet!("used_twice"),
        why: "A reference to a handle is an option value too, so uses are counted.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -chardev null,id=c -device pci-serial,chardev=c -serial chardev:c",
            does: &[(ALL, Rejects("in use"))],
        }],
    },
    Rule {
        title: "the kernel, the CPUs or the name twice",
        held: replaced!("kernel_twice"),
        why: "Choices at run time say a thing again. QEMU would boot the second kernel with the first one's initial RAM disk, and merge the CPUs.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -smp 2,maxcpus=2 -smp 4",
                does: &[(ALL, Rejects("maxcpus must be equal to or greater than smp"))],
            },
            Twin { arch: X86_64, args: "-M pc -name a -name b", does: &[(ALL, Accepts)] },
        ],
    },
    Rule {
        title: "numbers that QEMU does not count to",
        held: snippet!("numbers_out_of_range"),
        why: "A value decides.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d,bps=18446744073709551615",
                does: &[(ALL, Rejects("values must be within [0, 1000000000000000]"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d -device virtio-blk-pci,drive=d,bootindex=2147483648",
                does: &[(ALL, Rejects("int32"))],
            },
        ],
    },
    Rule {
        title: "one path for two sockets, or for a log and a disk",
        held: snippet!("one_path_twice"),
        why: "Paths may come from data. The second socket takes the path from the first, and a log file is emptied when QEMU starts.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -chardev socket,id=a,path={dir}/s.sock,server=on,wait=off -chardev socket,id=b,path={dir}/s.sock,server=on,wait=off",
                does: &[(ALL, Accepts)],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -chardev file,id=a,path={dir}/log -chardev file,id=b,path={dir}/log",
                does: &[(ALL, Accepts)],
            },
        ],
    },
    Rule {
        title: "one disk image for two drives",
        held: snippet!("one_image_twice"),
        why: "Only what is literally the same path is found. `vm.shared_image` is for an image that nobody writes.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=a -device virtio-blk-pci,drive=a -drive file={dir}/disk.raw,format=raw,if=none,id=b -device virtio-blk-pci,drive=b",
                does: &[(ALL, Rejects("lock"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=a,file.locking=off -device virtio-blk-pci,drive=a -drive file={dir}/disk.raw,format=raw,if=none,id=b,file.locking=off -device virtio-blk-pci,drive=b",
                does: &[(ALL, Accepts)],
            },
        ],
    },
    Rule {
        title: "one place in the boot order, or one chassis and slot, for two devices",
        held: snippet!("one_place_twice"),
        why: "The numbers may come from data.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M q35 -device virtio-rng-pci,bootindex=0 -device virtio-net-pci,bootindex=0",
                does: &[(ALL, Rejects("bootindex"))],
            },
            Twin {
                arch: X86_64,
                args: "-M q35 -device pcie-root-port,chassis=1,slot=3 -device pcie-root-port,chassis=1,slot=3",
                does: &[(ALL, Rejects("Can't add chassis slot, error -16"))],
            },
        ],
    },
    Rule {
        title: "a MAC address that QEMU gives to another device",
        held: snippet!("mac_that_qemu_gives"),
        why: "QEMU counts up from 52:54:00:12:34:56 where a device has none, and does not look at those that follow.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -netdev user,id=a -device virtio-net-pci,netdev=a -netdev user,id=b -device virtio-net-pci,netdev=b,mac=52:54:00:12:34:56",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        title: "an id that QEMU keeps for itself",
        held: snippet!("reserved_id"),
        why: "Ids may come from data.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -chardev null,id=compat_monitor0 -monitor unix:{dir}/m.sock,server=on,wait=off",
                does: &[(ALL, Rejects("compat_monitor0"))],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -object iothread,id=pc.ram",
                does: &[("5.2", Rejects("pc.ram")), ("7.2 10.0 11.1", Rejects("reserved for the default RAM backend"))],
            },
        ],
    },
    Rule {
        title: "an empty path",
        held: snippet!("empty_path"),
        why: "Paths may come from data.",
        twins: &[
            Twin { arch: X86_64, args: "-M pc -kernel ", does: &[(ALL, Rejects("could not open kernel file"))] },
            Twin { arch: X86_64, args: "-M pc -chardev file,id=c,path=", does: &[(ALL, Rejects("Could not open"))] },
        ],
    },
    Rule {
        title: "a monitor on a character device that does not both read and write",
        held: snippet!("monitor_that_hears_nobody"),
        why: "Back ends say which they are; one handle type for all of them lets loops and vectors work.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M pc -chardev file,id=c,path={dir}/log -qmp chardev:c",
                does: &[(ALL, Accepts)],
            },
            Twin {
                arch: X86_64,
                args: "-M pc -chardev null,id=c,mux=on -mon chardev=c,mode=control",
                does: &[(ALL, Rejects("QEMU_CHAR_FEATURE_GCONTEXT"))],
            },
        ],
    },
    Rule {
        title: "a memory template that is not there, is no file, or is too small",
        held: snippet!("template_that_is_not_there"),
        why: "Files are looked at before QEMU starts, not when the VM is built.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc,memory-backend=mem -m 128M -object memory-backend-file,id=mem,size=128M,mem-path={dir}/typo,share=off",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        title: "a socket that is closed before QEMU gets it",
        held: Held::Compiler(&["handle/closed_listener"]),
        why: "`PassedSocket` borrows its listener, and two character devices with one descriptor are an error of the VM.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -chardev socket,id=c,fd=77,server=on,wait=off",
            does: &[(ALL, Rejects("fd"))],
        }],
    },
    Rule {
        title: "a flag and its value in one raw argument",
        held: snippet!("flag_and_value_in_one"),
        why: "An argument with a hyphen first is a flag to QEMU, and none of its flags has a space. An empty argument would be a disk image.",
        twins: &[Twin { arch: X86_64, args: "-M pc -device\tedu", does: &[(ALL, Rejects("invalid option"))] }],
    },
    Rule {
        title: "more PCI devices than there is room for",
        held: snippet!("more_pci_devices_than_slots"),
        why: "The number of devices is not in the type, so that loops work.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci",
            does: &[(ALL, Rejects("PCI: no slot/function available for virtio-rng-pci, all in use"))],
        }],
    },
    Rule {
        title: "more CPUs than the version has under TCG, or with its interrupt controller",
        held: snippet!("more_cpus_than_tcg_has"),
        why: "The limits are in the table of machine types, by version; a version that nobody knows counts as the oldest.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M q35 -cpu qemu64,x2apic=on -smp 256",
                does: &[
                    ("5.2", Rejects("apic initialization failed. APIC ID 255 is invalid")),
                    ("7.2", Rejects("current -smp configuration requires kernel irqchip and X2APIC API support")),
                    ("10.0 11.1", Accepts),
                ],
            },
            Twin {
                arch: Aarch64,
                args: "-M virt -cpu cortex-a57 -smp 9",
                does: &[
                    ("5.2 7.2", Rejects("exceeds max CPUs supported by machine 'mach-virt' (8)")),
                    ("10.0 11.1", Accepts),
                ],
            },
            Twin {
                arch: Aarch64,
                args: "-M virt,gic-version=3,highmem=off -cpu cortex-a57 -smp 124",
                does: &[
                    ("5.2", Rejects("redist region number")),
                    ("7.2", Rejects("Capacity of the redist regions(123)")),
                    ("10.0 11.1", Rejects("max CPUs supported by machine 'mach-virt' (123)")),
                ],
            },
        ],
    },
    Rule {
        title: "a maximum of CPUs where none can be plugged in",
        held: snippet!("cpus_that_cannot_be_plugged_in"),
        why: "The numbers may come from data.",
        twins: &[Twin { arch: X86_64, args: "-M microvm,acpi=off -smp 1,maxcpus=4", does: &[(ALL, Accepts)] }],
    },
    Rule {
        title: "nothing to boot",
        held: snippet!("nothing_to_boot"),
        why: "Whether there is a kernel is not in the type. `without_kernel()` says that it is meant.",
        twins: &[
            Twin { arch: Aarch64, args: "-M virt -cpu cortex-a57", does: &[(ALL, Accepts)] },
            Twin { arch: X86_64, args: "-M microvm,acpi=off", does: &[(ALL, Accepts)] },
        ],
    },
    Rule {
        title: "a version of a machine type that there never was, or that this QEMU does not have",
        held: snippet!("a_machine_that_never_was"),
        why: "The version may come from data; the table of machine types knows the oldest, and the target the newest.",
        twins: &[
            Twin { arch: X86_64, args: "-M pc-q35-8.3", does: &[(ALL, Rejects("unsupported machine type"))] },
            Twin {
                arch: Aarch64,
                args: "-M virt-11.1 -cpu cortex-a57",
                does: &[("5.2 7.2 10.0", Rejects("unsupported machine type")), ("11.1", Accepts)],
            },
        ],
    },
    Rule {
        title: "no timers on a machine type, under an accelerator, both chosen at run time",
        held: snippet!("no_timers_at_run_time"),
        why: "`AnyVirtioMachine` takes a `Microvm` with or without timers; which one it is, only the value tells.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off,pit=off,pic=off,rtc=off -serial stdio -append console=ttyS0",
            does: &[(ALL, Loses(Loss::Boot))],
        }],
    },
    Rule {
        title: "a machine type chosen at run time that lacks what all choices have",
        held: Held::Compiler(&[
            "machine/virt_as_a_pci_machine",
            "timers/off_and_the_accelerator_chosen_at_run_time",
            "machine/version_of_microvm",
            "cpu/rv64_on_x86",
        ]),
        why: "`AnyPciMachine` is made from machine types with PCI, and so on: what enters has it all.",
        twins: &[
            Twin {
                arch: X86_64,
                args: "-M microvm,acpi=on -device nvme,serial=a",
                does: &[(ALL, Rejects("No 'PCI' bus found for device 'nvme'"))],
            },
            Twin { arch: X86_64, args: "-M microvm-7.2", does: &[(ALL, Rejects("unsupported machine type"))] },
            Twin { arch: X86_64, args: "-M q35 -cpu rv64", does: &[(ALL, Rejects("unable to find CPU model 'rv64'"))] },
        ],
    },
    Rule {
        title: "a machine type of your own that promises a UART and does not say what Linux calls it",
        held: Held::Compiler(&["machine/uart_without_a_name"]),
        why: "Without `console=` the kernel's own guess decides, which is the screen on a PC.",
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off -serial stdio -append panic=-1",
            does: &[(ALL, Loses(Loss::Console))],
        }],
    },
];
