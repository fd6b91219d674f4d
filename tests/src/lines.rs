//! Command lines of the kinds that people write, in words of our own: desktops, kernels under test, clouds, fuzzers, boards.

/// Shell lines, some of several lines.
pub const LINES: &[&str] = &[
    "qemu-system-x86_64 -m 4G -cpu host -machine q35,accel=kvm:tcg -smp cores=2,threads=1,sockets=1 -vga none -device virtio-vga-gl,xres=1280,yres=800 -display sdl,gl=on",
    "qemu-system-x86_64 -hda disk.img -cdrom install.iso -boot d -m 2048 --enable-kvm -usb -usbdevice tablet",
    "qemu-system-x86_64 -kernel bzImage -append 'console=ttyS0 root=/dev/vda rw' -nographic -drive file=root.qcow2,if=virtio -net nic,model=virtio -net user,hostfwd=tcp::2222-:22 -no-reboot",
    "LC_ALL=C \\\nPATH=/usr/bin:/bin \\\nqemu-system-x86_64 \\\n-name guest=one,debug-threads=on \\\n-S \\\n-object '{\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\",\"size\":224395264}' \\\n-chardev socket,id=mon0,path=/tmp/m.sock,server=on,wait=off \\\n-mon chardev=mon0,id=monitor,mode=control \\\n-blockdev '{\"driver\":\"file\",\"filename\":\"/dev/sda1\",\"node-name\":\"s0\",\"read-only\":false}' \\\n-device '{\"driver\":\"ide-hd\",\"bus\":\"ide.0\",\"unit\":0,\"drive\":\"s0\",\"bootindex\":1}' \\\n-msg timestamp=on\n",
    "qemu-system-aarch64 -M virt,gic-version=max,highmem=off -cpu cortex-a57 -smp 4 -m 1G -bios fw.fd -drive if=pflash,format=raw,unit=1,file=vars.fd,readonly -device virtio-blk-device,drive=d0 -drive if=none,id=d0,file=img.raw,format=raw -nic user,model=virtio-net-device -serial mon:stdio",
    "sudo -u guest qemu-system-x86_64 -monitor unix:mon.sock,server,nowait -serial tcp:127.0.0.1:4444,server,nowait -qmp unix:qmp.sock,server,wait=off -parallel none -pidfile vm.pid -daemonize",
    "qemu-kvm -cpu Penryn,vendor=GenuineIntel,+invtsc,-rtm,vmware-cpuid-freq=on,check -global ICH9-LPC.disable_s3=1 -global driver=cfi.pflash01,property=secure,value=on -smbios type=2 -rtc base=utc,driftfix=slew",
    "exec qemu-system-riscv64 -machine virt -nographic -bios none -kernel os.elf -device loader,file=fw.bin,addr=0x80000000 -netdev tap,id=n0,ifname=tap0,script=no,downscript=no -device virtio-net-device,netdev=n0,mac=52:54:00:00:00:12 2>err.log",
    "qemu-system-x86_64 -netdev stream,id=vlan,server=off,addr.type=unix,addr.path=/tmp/gv.sock -device virtio-net-pci,netdev=vlan -blockdev driver=raw,node-name=r,file.driver=file,file.filename=a,,b.img,cache.direct=on",
    "qemu-system-x86_64 -fw_cfg name=opt/org.example/config,file=c.ign -fw_cfg opt/x,string=65536 -tpmdev emulator,id=tpm0,chardev=chrtpm -chardev socket,id=chrtpm,path=tpm.sock -device tpm-tis,tpmdev=tpm0 -spice port=5930,disable-ticketing -vnc :1,password",
    "#!/bin/sh\nset -e\ncd /images && QEMU_AUDIO_DRV=none qemu-system-x86_64 -m ${RAM:-512} -drive file=$(pwd)/a.img,if=ide,index=1,media=disk \"$@\" | tee log\n",
    "-device 'virtio-net-pci,netdev=n1' -netdev 'user,id=n1,hostfwd=tcp::80-:80,hostname=a\"b'",
    "/opt/qemu/bin/qemu-system-x86_64 -drive \"file=my disk.qcow2,format=qcow2\" -name $'tab\\there' -k en-us -icount shift=auto,sleep=off -trace enable=virtio_* -d int,cpu_reset -D q.log",
];
