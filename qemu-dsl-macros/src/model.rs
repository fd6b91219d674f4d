//! The model of an item: what its attributes mean, with the mistakes found on the way.

use std::collections::HashMap;

use proc_macro2::Span;
use quote::format_ident;
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Fields, Generics, Ident, Member, Path, Type};

use crate::attr::{ContainerAttrs, FieldAttrs, Place, Version, doc};
use crate::ctxt::Ctxt;
use crate::words::Case;

pub(crate) struct Item {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) krate: Path,
    pub(crate) write_only: bool,
    /// The bus that a device plugs into; makes the item a `Device`.
    pub(crate) bus: Option<Path>,
    /// `virtio` and `device`: a `Device` on the machine's virtio transport.
    pub(crate) virtio_device: bool,
    /// At most one such device in a VM.
    pub(crate) single: bool,
    pub(crate) shape: Shape,
}

pub(crate) enum Shape {
    Struct {
        head: Head,
        fields: Vec<Field>,
    },
    Enum {
        tag: Option<String>,
        variants: Vec<Variant>,
    },
    /// An enum of words that is an option's value.
    Value(Vec<Variant>),
    /// Nothing that options could be made of; the mistake is reported.
    Broken,
}

pub(crate) enum Head {
    None,
    Implied(String),
    Virtio(String),
}

pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) style: Style,
    pub(crate) fields: Vec<Field>,
    pub(crate) since: Option<Version>,
    pub(crate) until: Option<Version>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Unit,
    Named,
    /// A tuple of one: its options are flattened.
    Newtype,
}

pub(crate) struct Field {
    pub(crate) member: Member,
    /// The name that the field is bound to in a pattern.
    pub(crate) binding: Ident,
    pub(crate) ty: Type,
    pub(crate) kind: FieldKind,
    pub(crate) doc: String,
}

pub(crate) enum FieldKind {
    Skip,
    Flatten { prefix: String },
    Option { key: String, since: Option<Version>, until: Option<Version>, skip_if: Option<Path> },
}

impl Item {
    pub(crate) fn new(cx: &Ctxt, input: &DeriveInput) -> Self {
        let attrs = ContainerAttrs::read(cx, &input.attrs);
        check_container(cx, &attrs, &input.data);
        let case = attrs.rename_all.unwrap_or(Case::Kebab);
        let shape = match &input.data {
            Data::Struct(data) => {
                let fields = fields(cx, &data.fields, case);
                let head = match (&attrs.device, &attrs.implied) {
                    (Some(name), _) if attrs.virtio.is_some() => Head::Virtio(name.value()),
                    (Some(name), _) | (None, Some(name)) => Head::Implied(name.value()),
                    (None, None) => Head::None,
                };
                Shape::Struct { head, fields }
            }
            Data::Enum(data) => {
                let variants = data.variants.iter().map(|v| variant(cx, v, case)).collect::<Vec<_>>();
                if variants.is_empty() {
                    cx.error(input.ident.span(), "an enum without variants has nothing to write");
                }
                if attrs.value.is_some() {
                    for (variant, source) in variants.iter().zip(&data.variants) {
                        if variant.style != Style::Unit {
                            cx.error(source.fields.span(), "a `value` enum is words alone: this variant has fields");
                        }
                        if let Some(version) = variant.since.as_ref().or(variant.until.as_ref()) {
                            cx.error(
                                version.literal.span(),
                                "a word has no version: options and groups of options have",
                            );
                        }
                    }
                    Shape::Value(variants)
                } else {
                    Shape::Enum { tag: attrs.tag.as_ref().map(syn::LitStr::value), variants }
                }
            }
            Data::Union(data) => {
                cx.error(data.union_token.span, "`QemuOpts` is for structs and enums: a union has no options");
                Shape::Broken
            }
        };
        let shape = if is_broken(&input.data, attrs.value.is_some()) { Shape::Broken } else { shape };
        Self {
            ident: input.ident.clone(),
            generics: input.generics.clone(),
            krate: attrs.krate.unwrap_or_else(|| syn::parse_quote!(::qemu_dsl)),
            write_only: attrs.write_only,
            bus: attrs.bus,
            single: attrs.single,
            virtio_device: attrs.virtio.is_some() && attrs.device.is_some(),
            shape,
        }
    }
}

/// Whether fields or variants have no names to make options of.
fn is_broken(data: &Data, value: bool) -> bool {
    match data {
        Data::Struct(data) => matches!(data.fields, Fields::Unnamed(_)),
        Data::Enum(data) => {
            data.variants.is_empty()
                || data.variants.iter().any(|variant| match &variant.fields {
                    Fields::Unit => false,
                    Fields::Named(_) => value,
                    Fields::Unnamed(fields) => value || fields.unnamed.len() != 1,
                })
        }
        Data::Union(_) => true,
    }
}

fn check_container(cx: &Ctxt, attrs: &ContainerAttrs, data: &Data) {
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

fn variant(cx: &Ctxt, source: &syn::Variant, case: Case) -> Variant {
    let attrs = FieldAttrs::read(cx, &source.attrs, Place::Variant);
    let name = attrs.rename.map_or_else(|| case.apply(&source.ident.to_string()), |name| name.value());
    let (style, fields) = match &source.fields {
        Fields::Unit => (Style::Unit, Vec::new()),
        Fields::Named(_) => (Style::Named, fields(cx, &source.fields, attrs.rename_all.unwrap_or(case))),
        Fields::Unnamed(unnamed) => {
            if unnamed.unnamed.len() != 1 {
                cx.error(unnamed.span(), "options have names: use `{ name: Type, ... }`, or one struct of options");
            }
            let field = unnamed.unnamed.first().map(|field| Field {
                member: Member::from(0),
                binding: format_ident!("field0"),
                ty: field.ty.clone(),
                kind: FieldKind::Flatten { prefix: String::new() },
                doc: String::new(),
            });
            (Style::Newtype, field.into_iter().collect())
        }
    };
    check_versions(cx, attrs.since.as_ref(), attrs.until.as_ref());
    let (since, until) = (attrs.since, attrs.until);
    Variant { ident: source.ident.clone(), name, doc: doc(&source.attrs), style, fields, since, until }
}

fn fields(cx: &Ctxt, source: &Fields, case: Case) -> Vec<Field> {
    if let Fields::Unnamed(unnamed) = source {
        cx.error(unnamed.span(), "options have names: use a struct with named fields");
        return Vec::new();
    }
    let mut seen: HashMap<String, Span> = HashMap::new();
    let mut out = Vec::new();
    for field in source {
        let Some(ident) = &field.ident else { continue };
        let attrs = FieldAttrs::read(cx, &field.attrs, Place::Field);
        check_field(cx, &attrs);
        let kind = if attrs.skip.is_some() {
            FieldKind::Skip
        } else if attrs.flatten.is_some() {
            FieldKind::Flatten { prefix: attrs.prefix.map(|prefix| prefix.value()).unwrap_or_default() }
        } else {
            let name = attrs.rename.as_ref().map_or_else(|| case.apply(&ident.to_string()), syn::LitStr::value);
            let key = attrs.prefix.map(|prefix| prefix.value()).unwrap_or_default() + &name;
            let span = attrs.rename.map_or_else(|| ident.span(), |rename| rename.span());
            if seen.insert(key.clone(), span).is_some() {
                cx.error(span, format!("two fields have the key `{key}`, and QEMU would keep only one of them"));
            }
            FieldKind::Option { key, since: attrs.since, until: attrs.until, skip_if: attrs.skip_if }
        };
        out.push(Field {
            member: Member::Named(ident.clone()),
            binding: format_ident!("field_{}", ident.to_string().trim_start_matches("r#")),
            ty: field.ty.clone(),
            kind,
            doc: doc(&field.attrs),
        });
    }
    out
}

fn check_field(cx: &Ctxt, attrs: &FieldAttrs) {
    if let (Some(span), Some(rename)) = (attrs.flatten, &attrs.rename) {
        cx.error(rename.span(), "a flattened group has no key of its own: use `prefix`");
        let _ = span;
    }
    if let Some(span) = attrs.skip
        && (attrs.rename.is_some() || attrs.flatten.is_some() || attrs.skip_if.is_some() || attrs.since.is_some())
    {
        cx.error(span, "a skipped field is never written: remove its other attributes");
    }
    if let (Some(_), Some(skip_if)) = (attrs.flatten, &attrs.skip_if) {
        cx.error(skip_if.span(), "`skip_if` is for single options, not for flattened groups");
    }
    check_versions(cx, attrs.since.as_ref(), attrs.until.as_ref());
}

fn check_versions(cx: &Ctxt, since: Option<&Version>, until: Option<&Version>) {
    if let (Some(since), Some(until)) = (since, until)
        && (since.major, since.minor) > (until.major, until.minor)
    {
        cx.error(until.literal.span(), "`until` is before `since`: no version would have this option");
    }
}
