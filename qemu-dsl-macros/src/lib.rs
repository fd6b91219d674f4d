//! The derive macro of [`qemu-dsl`](https://docs.rs/qemu-dsl). Use it through `qemu_dsl::opts::QemuOpts`.
//!
//! The way of an item: `attr` reads its attributes, `model` finds out what they mean and collects every mistake in a
//! `ctxt::Ctxt`, `expand` writes the impls. After mistakes the impls are still written, so that one mistake gives
//! one error.

mod attr;
mod ctxt;
mod expand;
mod model;
mod words;

/// Writes a serializer of QEMU's comma options, their schema, and the reading back.
///
/// # On a struct
///
/// | attribute | meaning |
/// |---|---|
/// | `implied = "edu"` | the text starts with this fixed name |
/// | `device = "nvme", bus = Pci` | the same, and the struct is a `Device` on that bus |
/// | `device = "virtio-blk", virtio` | the name gets the suffix of the machine's virtio transport |
/// | `single` | a VM has at most one such device |
/// | `rename_all = "snake_case"` | how keys are made of field names; `kebab-case` without it, also `camelCase` |
/// | `write_only` | no reading back: for structs that hold handles of a VM |
/// | `crate = path` | where `qemu_dsl` is, when it is not `::qemu_dsl` |
///
/// # On a field
///
/// | attribute | meaning |
/// |---|---|
/// | `rename = "bps_max"` | the key |
/// | `prefix = "file."` | stands before the key, or before all keys of a flattened group |
/// | `flatten` | the field is a group of options at this level |
/// | `skip` | never written; read back as its `Default` |
/// | `skip_if = path` | not written when `path(&field)` is true; read back as its `Default` when it is missing |
/// | `since = "9.2"`, `until = "10.1"` | the first and the last version of QEMU that has the option |
///
/// `Option` fields are left out when they are `None`.
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
