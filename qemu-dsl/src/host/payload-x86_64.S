# The test guest of the KVM proof: from the reset vector through protected mode into long mode, one SSE2 instruction there,
# then the exit port. `payload.rs` holds the bytes; its test assembles this file and compares.
.code16
base:
start16:
    cli
    lgdtl %cs:(gdtr - base)
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $0x08, $(0xffff0000 + (start32 - base))
.code32
start32:
    mov $0x10, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    # 4 GiB mapped one to one in 2 MiB pages: tables at 0x1000 to 0x6fff.
    mov $0x1000, %edi
    xor %eax, %eax
    mov $0x1800, %ecx
    cld
    rep stosl
    movl $0x2003, 0x1000
    movl $0x3003, 0x2000
    movl $0x4003, 0x2008
    movl $0x5003, 0x2010
    movl $0x6003, 0x2018
    mov $0x3000, %edi
    mov $0x83, %eax
    mov $2048, %ecx
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b
    # PAE, the tables, long mode, paging.
    mov %cr4, %eax
    or $0x20, %eax
    mov %eax, %cr4
    mov $0x1000, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    ljmpl $0x18, $(0xffff0000 + (start64 - base))
.code64
start64:
    xor %eax, %eax
    cpuid
    rdtsc
    # OSFXSR and OSXMMEXCPT, then what every compiler emits: SSE2.
    mov %cr4, %rax
    or $0x600, %rax
    mov %rax, %cr4
    movq %rax, %xmm0
    paddq %xmm0, %xmm0
    # isa-debug-exit: QEMU ends with status 2 * 0x21 + 1.
    mov $0x21, %al
    out %al, $0xf4
2:  hlt
    jmp 2b
.balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00af9b000000ffff
gdtr:
    .word 31
    .long 0xffff0000 + (gdt - base)
