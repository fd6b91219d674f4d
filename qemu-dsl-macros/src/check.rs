//! What cannot be meant: attributes that do not go together.

use syn::spanned::Spanned as _;
use syn::{Attribute, Data, Path};

use crate::attr::{ContainerAttrs, FieldAttrs, Version};
use crate::ctxt::Ctxt;
use crate::model::{PLAIN, Variant};

pub(crate) fn container(cx: &Ctxt, attrs: &ContainerAttrs, data: &Data) {
    let is_enum = matches!(data, Data::Enum(_));
    if let (Some(_), Some(implied)) = (&attrs.device, &attrs.implied) {
        cx.error(implied.span(), "`device` is already the implied head: remove one of the two");
    }
    if let (Some(span), None) = (attrs.virtio, &attrs.device) {
        cx.error(span, "`virtio` completes the name of a device: add `device = \"virtio-...\"`");
    }
    if let (Some(_), Some(bus)) = (attrs.virtio, &attrs.bus) {
        cx.error(bus.span(), "a `virtio` device takes the machine's virtio bus: remove `bus`");
    }
    if let (Some(bus), None) = (&attrs.bus, &attrs.device) {
        cx.error(bus.span(), "`bus` is for devices: add `device = \"...\"`");
    }
    if let (Some(device), None, None) = (&attrs.device, &attrs.bus, attrs.virtio) {
        cx.error(device.span(), "which bus does the device plug into? Add `bus = Pci`, another bus, or `virtio`");
    }
    if let (Some(_), Some(setters)) = (&attrs.build, attrs.setters) {
        cx.error(setters, "`build` makes setters already: remove `setters`");
    }
    let building = attrs.build.as_ref().map(|build| build.span).or(attrs.setters);
    if let (Some(span), true) = (building.or(attrs.check.as_ref().map(Path::span)), is_enum) {
        cx.error(span, "this is for structs: put the variant's options in a struct of their own");
    }
    if is_enum {
        if let Some(head) = attrs.device.as_ref().or(attrs.implied.as_ref()) {
            cx.error(head.span(), "an enum's head is the name of its variant: remove this");
        }
        if let (Some(span), Some(_)) = (attrs.value, &attrs.tag) {
            cx.error(span, "an enum is the value of an option, or a group of options with a `tag`, not both");
        }
    } else {
        if let Some(tag) = &attrs.tag {
            cx.error(tag.span(), "`tag` is for enums");
        }
        if let Some(span) = attrs.value {
            cx.error(span, "`value` is for enums: implement `OptValue` for a struct");
        }
    }
}

/// Two variants of one name, and a tag that is also the key of a field.
pub(crate) fn words(cx: &Ctxt, variants: &[Variant<'_>], tag: Option<&syn::LitStr>) {
    for (index, variant) in variants.iter().enumerate() {
        if variants[..index].iter().any(|earlier| earlier.name == variant.name) {
            let name = &variant.name;
            cx.error(
                variant.name_span,
                format!("two variants are written `{name}`, and read back they would be one: `rename` one of them"),
            );
        }
        let tag_again = variant.fields.iter().find(|field| tag.is_some_and(|tag| field.key() == Some(&tag.value())));
        if let (Some(field), Some(tag)) = (tag_again, tag) {
            let tag = tag.value();
            cx.error(field.ty.span(), format!("`{tag}` is the `tag` already: `rename` this option"));
        }
    }
}

/// Nothing can refer to a field of a packed struct, and writing does.
pub(crate) fn packed(cx: &Ctxt, attrs: &[Attribute]) -> bool {
    let mut is_packed = false;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("repr")) {
        let result = attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("packed") {
                is_packed = true;
                cx.push(meta.error(
                    "options are written from references to fields, and a packed struct's have none: remove `packed`",
                ));
            }
            if meta.input.peek(syn::token::Paren) {
                let inner;
                syn::parenthesized!(inner in meta.input);
                inner.parse::<proc_macro2::TokenStream>()?;
            }
            Ok(())
        });
        // What else is wrong with it, the compiler says.
        drop(result);
    }
    is_packed
}

/// Whether this is a type of the language's own that is one value, and no group of options.
pub(crate) fn is_one_value(ty: &syn::Type) -> bool {
    let ty = if let syn::Type::Reference(reference) = ty { &reference.elem } else { ty };
    let is = |name: &&str| matches!(ty, syn::Type::Path(path) if path.path.is_ident(*name));
    PLAIN.iter().chain(&["u128", "i128", "str"]).any(is)
}

pub(crate) fn field(cx: &Ctxt, attrs: &FieldAttrs, ty: &syn::Type, builds: bool) {
    let is_group = attrs.flatten.is_some() && attrs.list.is_none();
    if is_group {
        if let (true, Some(span)) = (is_one_value(ty), attrs.flatten) {
            cx.error(span, "this is one value, and no group of options: remove `flatten`");
        }
        if let Some(rename) = &attrs.rename {
            cx.error(rename.span(), "a flattened group has no key of its own: use `prefix`");
        }
        if let Some(skip_if) = &attrs.skip_if {
            cx.error(skip_if.span(), "`skip_if` is for single options, not for flattened groups");
        }
        if let Some(version) = attrs.since.as_ref().or(attrs.until.as_ref()) {
            cx.error(version.literal.span(), "a flattened group has no version: its options have");
        }
    }
    if is_group || attrs.list.is_some() {
        let rules = attrs.range.as_ref().map(|range| range.span).or(attrs.power_of_two);
        if let Some(span) = rules.or(attrs.unique.as_ref().map(syn::LitStr::span)) {
            cx.error(span, "this is a rule for one value, and the field can write several: put it where the value is");
        }
    }
    if let Some(span) = attrs.skip
        && (attrs.rename.is_some()
            || attrs.flatten.is_some()
            || attrs.list.is_some()
            || attrs.skip_if.is_some()
            || attrs.since.is_some()
            || attrs.range.is_some())
    {
        cx.error(span, "a skipped field is never written: remove its other attributes");
    }
    let building = attrs.default.as_ref().map(|preset| preset.span).or(attrs.with.as_ref().map(|with| with.span));
    if let (Some(span), false) = (building.or(attrs.no_setter), builds) {
        cx.error(span, "this is for constructors and setters: add `build` or `setters` to the struct");
    }
    versions(cx, attrs.since.as_ref(), attrs.until.as_ref());
}

pub(crate) fn versions(cx: &Ctxt, since: Option<&Version>, until: Option<&Version>) {
    if let (Some(since), Some(until)) = (since, until)
        && (since.major, since.minor) > (until.major, until.minor)
    {
        cx.error(until.literal.span(), "`until` is before `since`: no version would have this option");
    }
}
