use qemu_dsl::Since;

fn main() {
    let _proof = Since::<9, 2>(());
}
