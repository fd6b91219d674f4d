//! The derive macro of [`qemu-dsl`](https://docs.rs/qemu-dsl). Use it through `qemu_dsl::opts::QemuOpts`.
//!
//! The way of an item: `attr` reads its attributes, `model` finds out what they mean, `check` what cannot be meant, and every mistake is
//! collected in a `ctxt::Ctxt`; `expand` writes the impls: `write` schema and writer, `build` constructor and setters, `read` and `value` the rest.
//! After mistakes the impls are still written, so that one mistake gives one error.

mod attr;
mod check;
mod ctxt;
mod expand;
mod model;
mod words;

/// From one definition of each field: a writer of QEMU's comma options, their schema, and where it is asked for a constructor, setters
/// and the reading back.
///
/// ```ignore
/// /// A disk.
/// #[derive(QemuOpts)]
/// #[qemu(device = "virtio-blk", virtio, build = "A disk on `drive`.")]
/// pub struct Disk {
///     /// The image.
///     drive: BlockNode,
///     /// Requests in a queue.
///     #[qemu(range = 4..=1024, power_of_two)]
///     queue_size: Option<u16>,
///     /// The serial number.
///     #[qemu(unique = "serial", with = |serial: &str| serial.to_owned())]
///     serial: Option<String>,
/// }
/// vm.add(Disk::new(drive).queue_size(128).serial("disk-1")); // -device virtio-blk-pci,drive=drive0,queue-size=128,serial=disk-1
/// ```
///
/// # On a struct
///
/// | attribute | meaning |
/// |---|---|
/// | `implied = "edu"` | the text starts with this fixed name |
/// | `device = "nvme", bus = Pci` | the same, and the struct is a `Device` on that bus |
/// | `device = "virtio-blk", virtio` | the name gets the suffix of the machine's virtio transport |
/// | `single` | a VM has at most one such device |
/// | `build`, `build = "What it makes."` | a constructor `new` of the required fields, and a setter for each other; the text documents `new` |
/// | `setters` | the setters alone, for a struct with constructors of its own |
/// | `check = path` | `path(&self, &mut OptWriter)` judges what rules of single fields cannot say |
/// | `read` | reading back: `ReadOpts`; for an enum of words `OptRead` |
/// | `rename_all = "snake_case"` | how keys are made of field names; `kebab-case` without it, also `camelCase` |
/// | `crate = path` | where `qemu_dsl` is, when it is not `::qemu_dsl` |
///
/// # On a field: what is written
///
/// | attribute | meaning |
/// |---|---|
/// | `rename = "bps_max"` | the key |
/// | `prefix = "file."` | stands before the key, or before all keys of a flattened group |
/// | `flatten` | the field is a group of options at this level, or an `Option` of one |
/// | `list` | several values: `key.0=`, `key.1=`; with `flatten` several groups: `key.0.a=` |
/// | `skip` | never written; read back as its `Default` |
/// | `skip_if = path` | not written when `path(&field)` is true; read back as its `Default` when it is missing |
///
/// `Option` fields are left out when they are `None`. A struct has at most 64 options of its own.
///
/// # On a field: what must hold
///
/// A value that breaks a rule is an error of the VM, which names the option, the value and the rule. Rules are in the schema too.
///
/// | attribute | meaning |
/// |---|---|
/// | `range = 1..=1024` | the number, or the bytes of a size, is in this range; the ends are constants |
/// | `power_of_two` | it is a power of two |
/// | `unique = "mac"` | no two devices of a VM have the same: `"mac"` and `"serial"` are the library's own kinds, any other name is one of its own |
/// | `needs = "bps"` | only together with this other option; may stand there several times |
/// | `conflicts = "bps"` | never together with it; may stand there several times |
/// | `since = "9.2"`, `until = "10.1"` | the first and the last version of QEMU that has the option |
///
/// # On a field: how it is set
///
/// A field is required, unless it is an `Option`, a `Vec` that is a `list`, or has a `default`. A type alias of `Option` is not seen to be
/// one: give it a `default`. The setter of an `Option` takes the value, that of a `Vec` adds one element; it has the field's documentation,
/// and tells the rules.
///
/// | attribute | meaning |
/// |---|---|
/// | `default`, `default = expression` | what `new` gives it; the expression can use the required fields by their names |
/// | `with = \|name: Type\| expression` | what callers give instead of the value, and how it becomes the value |
/// | `no_setter` | no setter |
///
/// An expression ends at the next comma: put brackets around one that has commas outside of brackets.
///
/// # On an enum
///
/// The variant's name is the implied head (`socket,path=...`), or the value of a key with `tag = "type"`
/// (`type=unix,path=...`). A variant has named fields, or one struct of options. With `value`, an enum of bare words is
/// itself the value of an option. `rename`, `rename_all`, `since` and `until` work on variants too.
///
/// Every mistake in the attributes of an item is reported at once, at its own place.
#[proc_macro_derive(QemuOpts, attributes(qemu))]
pub fn derive_qemu_opts(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = match syn::parse(input.clone()) {
        Ok(input) => input,
        Err(error) => return half_typed(input, &error),
    };
    let cx = ctxt::Ctxt::new();
    let item = model::Item::new(&cx, &input);
    let mut out = expand::expand(&item);
    out.extend(proc_macro::TokenStream::from(cx.finish()));
    out
}

/// The impls of an item whose inside nobody understands, so that its uses give no errors of their own.
fn half_typed(input: proc_macro::TokenStream, error: &syn::Error) -> proc_macro::TokenStream {
    let mut out = proc_macro::TokenStream::from(error.to_compile_error());
    if let Ok(input) = syn::parse::Parser::parse(model::outside, input) {
        let cx = ctxt::Ctxt::new();
        out.extend(expand::expand(&model::Item::new(&cx, &input)));
        // What is wrong with an item without its inside is no news.
        drop(cx.finish());
    }
    out
}
