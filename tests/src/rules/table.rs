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
                wrong().expect_err(concat!("the mistake in ", $name))
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
        id: "pci-on-virt",
        held: Held::Compiler(&[
            "bus/pci_on_virt",
            "bus/nvme_on_virt",
            "bus/root_port_on_virt",
            "bus/nvme_on_any_vm",
            "bus/nvme_on_riscv_virt",
            "bus/on_pci_on_virt",
            "bus/root_port_on_any_vm",
            "bus/in_a_generic_function",
        ]),
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt -cpu cortex-a57 -device virtio-rng-pci",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        id: "pci-without-pcie",
        held: Held::Compiler(&[
            "bus/nvme_on_microvm",
            "bus/root_port_on_microvm_with_acpi",
            "bus/own_device_without_its_bus",
            "bus/bus_without_a_controller",
            "bus/device_of_another_provided_bus",
            "machine/promise_of_a_bus",
            "vm/device_on_its_own_bus",
        ]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off -device virtio-rng-pci",
            does: &[(ALL, Rejects("No 'PCI' bus found for device 'virtio-rng-pci'"))],
        }],
    },
    Rule {
        id: "mmio-without-mmio",
        held: Held::Compiler(&["bus/mmio_on_pc", "bus/mmio_on_q35", "bus/mmio_with_an_id"]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-rng-device",
            does: &[(ALL, Rejects("No 'virtio-bus' bus found for device 'virtio-rng-device'"))],
        }],
    },
    Rule {
        id: "second-console",
        held: Held::Compiler(&[
            "console/virtconsole_after_isa_serial",
            "console/isa_serial_after_virtconsole",
            "console/virtconsole_after_pl011",
            "handle/console_port_twice",
            "vm/after_its_end",
            "vm/built_twice",
            "vm/chain_without_the_vm",
            "vm/console_into_the_same_variable",
            "vm/used_after_its_console",
        ]),
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
        id: "foreign-uart",
        held: Held::Compiler(&["console/isa_serial_on_virt", "console/pl011_on_q35", "machine/isa_serial_of_virt"]),
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
        id: "uart-off",
        held: Held::Compiler(&["console/isa_serial_switched_off"]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off,isa-serial=off -serial stdio -append console=ttyS0",
            does: &[(ALL, Loses(Loss::Console))],
        }],
    },
    Rule {
        id: "console-in-cmdline",
        held: snippet!("console_in_cmdline"),
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt -cpu cortex-a57 -serial none -append console=ttyAMA0",
            does: &[(ALL, Loses(Loss::Console))],
        }],
    },
    Rule {
        id: "cpu-model-for-accelerator",
        held: Held::Compiler(&[
            "cpu/host_under_tcg",
            "cpu/haswell_under_kvm",
            "cpu/haswell_on_aarch64",
            "cpu/name_instead_of_model",
            "cpu/max_under_kvm",
            "cpu/model_on_any_accelerator",
        ]),
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
        id: "no-timers",
        held: Held::Compiler(&["timers/off_under_tcg", "timers/without_proof", "timers/forged_proof"]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off,pit=off,pic=off -serial stdio -append console=ttyS0",
            does: &[(ALL, Loses(Loss::Boot))],
        }],
    },
    Rule {
        id: "microvm-option-elsewhere",
        held: Held::Compiler(&["machine/timers_of_pc"]),
        twins: &[Twin { arch: X86_64, args: "-M q35,isa-serial=off", does: &[(ALL, Rejects("Property 'pc-q35-"))] }],
    },
    Rule {
        id: "foreign-accelerator",
        held: Held::Compiler(&[
            "accel/kvm_on_a_foreign_machine",
            "accel/hvf_on_a_foreign_machine",
            "accel/forged_kvm",
            "machine/core_dump_without_linux",
            "accel/arguments_in_another_order",
            "accel/kvm_constructed",
            "accel/kvm_from_an_option",
            "accel/of_another_crate",
        ]),
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt -cpu host -accel kvm",
            does: &[(ALL, Rejects("invalid accelerator kvm"))],
        }],
    },
    Rule {
        id: "iothread-without-ioeventfd",
        held: Held::Compiler(&["iothread/microvm_under_tcg", "iothread/virt_under_tcg"]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off -object iothread,id=io -drive file={dir}/disk.raw,format=raw,if=none,id=d -device virtio-blk-device,drive=d,iothread=io",
            does: &[("5.2 7.2", Rejects("ioeventfd is required for iothread")), ("10.0 11.1", Accepts)],
        }],
    },
    Rule {
        id: "no-handle",
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
            "handle/chardev_itself_for_the_console",
            "handle/mux_front_ends_all_at_once",
            "handle/netdev_itself",
            "handle/rng_itself",
            "handle/shared_image_itself",
            "handle/spare_of_something_else",
            "vm/chardev_as_a_device",
            "vm/device_as_a_back_end",
            "vm/device_as_a_chardev",
            "vm/drive_as_a_device",
            "vm/qmp_on_a_device",
        ]),
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
        id: "back-end-moved-twice",
        held: Held::Compiler(&[
            "handle/chardev_twice",
            "handle/drive_twice",
            "handle/netdev_twice",
            "handle/cloned",
            "handle/rng_twice",
        ]),
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
        id: "foreign-handle",
        held: snippet!("foreign_handle"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-serial-pci -device virtserialport,chardev=elsewhere",
            does: &[(ALL, Rejects("can't find value 'elsewhere'"))],
        }],
    },
    Rule {
        id: "port-number",
        held: Held::Compiler(&[
            "serial/port_past_max_ports",
            "serial/port_without_controller",
            "serial/port_0_for_a_channel",
            "serial/port_twice",
            "serial/number_for_a_port",
        ]),
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
        id: "too-many-ports",
        held: snippet!("too_many_ports"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-serial-pci,max_ports=512",
            does: &[(ALL, Rejects("maximum ports supported: 511"))],
        }],
    },
    Rule {
        id: "console-as-device",
        held: Held::Compiler(&["console/virtconsole_as_a_device"]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -serial null -device virtio-serial-pci -chardev null,id=c -device virtconsole,chardev=c",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        id: "aio-unproven",
        held: Held::Compiler(&[
            "aio/native_with_page_cache",
            "aio/native_without_cache",
            "aio/io_uring_without_proof",
            "aio/io_uring_as_text",
            "aio/native_on_a_write_back_cache",
        ]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d,cache=unsafe,aio=native",
            does: &[(ALL, Rejects("aio=native was specified, but it requires cache.direct=on"))],
        }],
    },
    Rule {
        id: "option-of-another-version",
        held: Held::Compiler(&[
            "version/reconnect_ms_without_proof",
            "version/reconnect_ms_with_an_older_proof",
            "version/forged_proof",
            "version/proof_of_an_option",
            "version/version_for_its_proof",
        ]),
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
        id: "no-memory",
        held: Held::Compiler(&[
            "size/no_memory",
            "size/number_for_memory",
            "size/memory_missing",
            "size/memory_of_a_variable",
            "vm/memory_as_text",
        ]),
        twins: &[Twin { arch: X86_64, args: "-M pc -m 0", does: &[(ALL, Accepts)] }],
    },
    Rule {
        id: "cpu-count",
        held: snippet!("more_cpus_than_max"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -smp 4,maxcpus=2",
            does: &[(ALL, Rejects("maxcpus must be equal to or greater than smp"))],
        }],
    },
    Rule {
        id: "memory-size-differs",
        held: Held::Compiler(&["size/template_of_another_size"]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc,memory-backend=mem -m 128M -object memory-backend-ram,id=mem,size=64M",
            does: &[(ALL, Rejects("size"))],
        }],
    },
    Rule {
        id: "balloon-on-template",
        held: snippet!("balloon_on_template"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off,memory-backend=mem -object memory-backend-file,id=mem,size=256M,mem-path={dir}/template,share=off -device virtio-balloon-device,id=balloon -serial stdio -append console=ttyS0",
            does: &[(ALL, Loses(Loss::Template))],
        }],
    },
    Rule {
        id: "single-device-twice",
        held: snippet!("two_balloons"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-balloon-pci -device virtio-balloon-pci",
            does: &[(ALL, Rejects("Only one balloon device is supported"))],
        }],
    },
    Rule {
        id: "mmio-transports",
        held: snippet!("too_many_mmio_devices"),
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
        id: "no-option-value",
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
            "derive/attribute_twice",
            "derive/bus_half_typed",
            "derive/bus_in_quotes",
            "derive/bus_not_imported",
            "derive/check_that_is_no_function",
            "derive/default_of_another_type",
            "derive/enum_of_nothing",
            "derive/float",
            "derive/group_of_an_option_type",
            "derive/list_without_its_word",
            "derive/name_without_quotes",
            "derive/number_in_a_variant",
            "derive/old_attribute",
            "derive/option_of_an_option",
            "derive/range_of_text",
            "derive/setter_of_another_type",
            "derive/skipped_and_written",
            "derive/tag_is_a_key",
            "derive/value_on_a_struct",
            "derive/value_with_fields",
            "derive/version_of_a_group",
            "derive/version_without_quotes",
            "derive/virtio_without_a_name",
        ]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-rng-pci,colour=red",
            does: &[(ALL, Rejects("Property 'virtio-rng-pci.colour' not found"))],
        }],
    },
    Rule {
        id: "unchecked-text",
        held: Held::Compiler(&[
            "id/text_for_an_id",
            "id/text_for_a_socket_path",
            "id/text_for_a_serial_number",
            "id/text_for_a_mac_address",
            "id/no_id",
            "size/number_for_cpus",
            "id/comma_in_an_id",
            "id/digit_first",
            "id/empty",
            "id/text_of_a_variable",
            "vm/format_as_text",
            "vm/socket_path_without_question_mark",
        ]),
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
        id: "acpi-without-option-roms",
        held: Held::Compiler(&["machine/acpi_without_option_roms"]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=on,x-option-roms=off -nographic -monitor none -serial stdio -append console=ttyS0",
            does: &[("5.2 7.2", Boots), ("10.0 11.1", Loses(Loss::BootWith("No bootable device.")))],
        }],
    },
    Rule {
        id: "mux-front-ends",
        held: Held::Compiler(&["handle/fifth_front_end"]),
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
        id: "port-name-twice",
        held: snippet!("two_ports_of_one_name"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-serial-pci -device virtserialport,name=a -device virtserialport,name=a",
            does: &[(ALL, Rejects("A port already exists by name a"))],
        }],
    },
    Rule {
        id: "stdio-twice",
        held: snippet!("stdio_twice"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -chardev stdio,id=a -chardev stdio,id=b",
            does: &[(ALL, Rejects("cannot use stdio by multiple character devices"))],
        }],
    },
    Rule {
        id: "id-twice",
        held: snippet!("one_id_twice"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-rng-pci,id=a -device virtio-rng-pci,id=a",
            does: &[("5.2", Rejects("Duplicate ID 'a' for device")), ("7.2 10.0 11.1", Rejects("uplicate"))],
        }],
    },
    Rule {
        id: "node-name-length",
        held: snippet!("long_node_name"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -blockdev driver=null-co,node-name=a123456789b123456789c123456789de",
            does: &[(ALL, Rejects("Node name too long"))],
        }],
    },
    Rule {
        id: "queues",
        held: snippet!("too_many_queues"),
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
        id: "burst-without-limit",
        held: snippet!("burst_without_limit"),
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
        id: "serial-twice",
        held: snippet!("two_disks_of_one_serial"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -blockdev file,node-name=d,read-only=on,filename={dir}/disk.raw -device virtio-blk-pci,drive=d,serial=data -device virtio-blk-pci,drive=d,serial=data",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        id: "mac",
        held: snippet!("two_cards_of_one_mac"),
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
        id: "machine-cpus",
        held: snippet!("more_cpus_than_the_machine_has"),
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
        id: "highmem-memory",
        held: snippet!("more_memory_than_the_machine_has"),
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt,highmem=off -cpu cortex-a57 -m 4096M",
            does: &[("5.2", Accepts), ("7.2 10.0 11.1", Rejects("Addressing limited to 32 bits"))],
        }],
    },
    Rule {
        id: "cmdline-length",
        held: snippet!("long_cmdline"),
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
        id: "shared-image-on-iothread",
        held: snippet!("shared_image_on_a_thread"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M q35 -serial stdio -append console=ttyS0 -blockdev file,node-name=d,read-only=on,filename={dir}/disk.raw -object iothread,id=i -device virtio-blk-pci,drive=d,iothread=i -device virtio-blk-pci,drive=d,iothread=i",
            does: &[("5.2", Loses(Loss::Boot)), ("7.2", Loses(Loss::Abort)), ("10.0 11.1", Boots)],
        }],
    },
    Rule {
        id: "cpu-model-of-another-machine",
        held: Held::Compiler(&["cpu/best_of_another_machine", "cpu/cortex_on_x86"]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -cpu cortex-a57",
            does: &[(ALL, Rejects("unable to find CPU model 'cortex-a57'"))],
        }],
    },
    Rule {
        id: "proof-of-another-version",
        held: snippet!("proof_of_another_version"),
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt -cpu cortex-a57 -object iothread,id=i -drive file={dir}/disk.raw,format=raw,if=none,id=d -device virtio-blk-device,drive=d,iothread=i",
            does: &[("5.2 7.2", Rejects("ioeventfd is required for iothread")), ("10.0 11.1", Accepts)],
        }],
    },
    Rule {
        id: "reconnect-in-seconds",
        held: Held::Compiler(&["version/reconnect_seconds_with_a_lower_bound"]),
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
        id: "iothread-on-mmio",
        held: snippet!("iothread_on_mmio"),
        twins: &[Twin {
            arch: Aarch64,
            args: "-M virt -cpu cortex-a57 -object iothread,id=i -drive file={dir}/disk.raw,format=raw,if=none,id=d -device virtio-blk-device,drive=d,iothread=i",
            does: &[("5.2 7.2", Rejects("ioeventfd is required for iothread")), ("10.0 11.1", Accepts)],
        }],
    },
    Rule {
        id: "unused",
        held: snippet!("unused"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -drive file={dir}/disk.raw,format=raw,if=none,id=d -chardev null,id=c -object iothread,id=i -device virtio-serial-pci",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        id: "back-end-twice",
        held: snippet!("used_twice"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -chardev null,id=c -device pci-serial,chardev=c -serial chardev:c",
            does: &[(ALL, Rejects("in use"))],
        }],
    },
    Rule {
        id: "once-twice",
        held: replaced!("kernel_twice"),
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
        id: "number-range",
        held: snippet!("numbers_out_of_range"),
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
        id: "path-twice",
        held: snippet!("one_path_twice"),
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
        id: "image-twice",
        held: snippet!("one_image_twice"),
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
        id: "place-twice",
        held: snippet!("one_place_twice"),
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
        id: "mac-that-qemu-gives",
        held: snippet!("mac_that_qemu_gives"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -netdev user,id=a -device virtio-net-pci,netdev=a -netdev user,id=b -device virtio-net-pci,netdev=b,mac=52:54:00:12:34:56",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        id: "reserved-id",
        held: snippet!("reserved_id"),
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
        id: "empty-path",
        held: snippet!("empty_path"),
        twins: &[
            Twin { arch: X86_64, args: "-M pc -kernel ", does: &[(ALL, Rejects("could not open kernel file"))] },
            Twin { arch: X86_64, args: "-M pc -chardev file,id=c,path=", does: &[(ALL, Rejects("Could not open"))] },
        ],
    },
    Rule {
        id: "one-way-monitor",
        held: snippet!("monitor_that_hears_nobody"),
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
        id: "template-file",
        held: snippet!("template_that_is_not_there"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc,memory-backend=mem -m 128M -object memory-backend-file,id=mem,size=128M,mem-path={dir}/typo,share=off",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        id: "closed-descriptor",
        held: Held::Compiler(&["handle/closed_listener"]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -chardev socket,id=c,fd=77,server=on,wait=off",
            does: &[(ALL, Rejects("fd"))],
        }],
    },
    Rule {
        id: "flag-and-value-in-one",
        held: snippet!("flag_and_value_in_one"),
        twins: &[Twin { arch: X86_64, args: "-M pc -device\tedu", does: &[(ALL, Rejects("invalid option"))] }],
    },
    Rule {
        id: "pci-slots",
        held: snippet!("more_pci_devices_than_slots"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci -device virtio-rng-pci",
            does: &[(ALL, Rejects("PCI: no slot/function available for virtio-rng-pci, all in use"))],
        }],
    },
    Rule {
        id: "tcg-cpus",
        held: snippet!("more_cpus_than_tcg_has"),
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
        id: "cpu-hotplug",
        held: snippet!("cpus_that_cannot_be_plugged_in"),
        twins: &[Twin { arch: X86_64, args: "-M microvm,acpi=off -smp 1,maxcpus=4", does: &[(ALL, Accepts)] }],
    },
    Rule {
        id: "nothing-to-boot",
        held: snippet!("nothing_to_boot"),
        twins: &[
            Twin { arch: Aarch64, args: "-M virt -cpu cortex-a57", does: &[(ALL, Accepts)] },
            Twin { arch: X86_64, args: "-M microvm,acpi=off", does: &[(ALL, Accepts)] },
        ],
    },
    Rule {
        id: "machine-version",
        held: snippet!("a_machine_that_never_was"),
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
        id: "no-timers-at-run-time",
        held: snippet!("no_timers_at_run_time"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off,pit=off,pic=off,rtc=off -serial stdio -append console=ttyS0",
            does: &[(ALL, Loses(Loss::Boot))],
        }],
    },
    Rule {
        id: "any-machine",
        held: Held::Compiler(&[
            "machine/virt_as_a_pci_machine",
            "timers/off_and_the_accelerator_chosen_at_run_time",
            "machine/version_of_microvm",
            "cpu/rv64_on_x86",
            "machine/different_ones_in_an_array",
            "machine/pci_of_any_machine",
        ]),
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
        id: "uart-without-a-name",
        held: Held::Compiler(&["machine/uart_without_a_name"]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M microvm,acpi=off -serial stdio -append panic=-1",
            does: &[(ALL, Loses(Loss::Console))],
        }],
    },
    Rule {
        id: "handle-dropped",
        held: Held::Compiler(&["handle/unused", "handle/unused_netdev", "handle/unused_port"]),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -chardev null,id=c -object rng-random,id=r,filename=/dev/urandom",
            does: &[(ALL, Accepts)],
        }],
    },
    Rule {
        id: "wrong-argument",
        held: Held::Compiler(&[
            "vm/accelerator_as_text",
            "vm/machine_as_text",
            "vm/memory_first",
            "vm/cpu_left_out",
            "vm/number_for_smp",
            "vm/smp_without_question_mark",
        ]),
        twins: &[
            Twin { arch: X86_64, args: "-M pc -accel Haswell", does: &[(ALL, Rejects("invalid accelerator"))] },
            Twin { arch: X86_64, args: "-M tcg", does: &[(ALL, Rejects("unsupported machine type"))] },
        ],
    },
    Rule {
        id: "value-twice",
        held: snippet!("a_value_twice"),
        twins: &[Twin {
            arch: X86_64,
            args: "-M pc -device edu,addr=5 -device edu,addr=5",
            does: &[(ALL, Rejects("slot 5 function 0 not available for edu"))],
        }],
    },
];
