//! The model of an item: what its attributes mean, with the mistakes found on the way.

use std::collections::HashMap;

use proc_macro2::Span;
use quote::format_ident;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DeriveInput, Fields, GenericArgument, Generics, Ident, Member, Path, PathArguments, Type,
    TypePath, Visibility,
};

use crate::attr::{Build, ContainerAttrs, FieldAttrs, Place, Preset, Version, With, doc, whole_doc};
use crate::check;
use crate::ctxt::Ctxt;
use crate::words::{Case, suggest};

pub(crate) struct Item<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    pub(crate) vis: &'a Visibility,
    /// Where the library is, if not at its usual place.
    pub(crate) krate: Option<Path>,
    pub(crate) read: bool,
    /// A constructor of the required fields.
    pub(crate) build: Option<Build>,
    /// A method for each field that need not be set.
    pub(crate) setters: bool,
    /// A function that judges a whole value.
    pub(crate) check: Option<Path>,
    /// The bus that a device plugs into; makes the item a `Device`.
    pub(crate) bus: Option<Path>,
    /// `virtio` and `device`: a `Device` on the machine's virtio transport.
    pub(crate) virtio_device: bool,
    /// At most one such device in a VM.
    pub(crate) single: bool,
    /// An enum of words.
    pub(crate) is_value: bool,
    pub(crate) shape: Shape<'a>,
}

pub(crate) enum Shape<'a> {
    Struct {
        head: Head,
        fields: Vec<Field<'a>>,
    },
    Enum {
        tag: Option<String>,
        variants: Vec<Variant<'a>>,
    },
    /// An enum of words that is an option's value.
    Value(Vec<Variant<'a>>),
    /// Nothing that options could be made of; the mistake is reported.
    Broken,
}

pub(crate) enum Head {
    None,
    Implied(String),
    Virtio(String),
}

pub(crate) struct Variant<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) name: String,
    /// Where the name stands.
    pub(crate) name_span: Span,
    pub(crate) doc: String,
    pub(crate) style: Style,
    pub(crate) fields: Vec<Field<'a>>,
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

pub(crate) struct Field<'a> {
    pub(crate) member: Member,
    /// The name that the field is bound to in a pattern.
    pub(crate) binding: Ident,
    pub(crate) ty: &'a Type,
    /// The type as text, where no message can be about it.
    pub(crate) plain: Option<String>,
    pub(crate) kind: FieldKind,
    pub(crate) rules: Rules,
    /// The first paragraph of the documentation.
    pub(crate) doc: String,
    pub(crate) built: Built<'a>,
}

pub(crate) enum FieldKind {
    Skip,
    Flatten { prefix: String },
    List { key: String, groups: bool },
    Option { key: String, skip_if: Option<Path> },
}

/// What must hold of a field's value, where there is one.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) since: Option<Version>,
    pub(crate) until: Option<Version>,
    pub(crate) range: Option<(proc_macro2::TokenStream, proc_macro2::TokenStream)>,
    pub(crate) power_of_two: bool,
    pub(crate) unique: Option<String>,
    /// The keys without which this one is wrong.
    pub(crate) needs: Vec<String>,
    /// The keys with which this one is wrong.
    pub(crate) conflicts: Vec<String>,
}

/// How a field gets its value.
pub(crate) struct Built<'a> {
    /// What the documentation says, if it is plain text, and the attributes that say it otherwise.
    pub(crate) doc: Option<String>,
    pub(crate) attrs: Vec<&'a Attribute>,
    pub(crate) preset: Option<Preset>,
    pub(crate) with: Option<With>,
    pub(crate) no_setter: bool,
}

/// How often a field's type holds a value, as far as its name tells.
pub(crate) enum Holds<'a> {
    One,
    /// `Option<T>`
    AtMostOne(&'a Type),
    /// `Vec<T>` of a list
    Any(&'a Type),
}

impl Field<'_> {
    /// The key, if it has one of its own.
    pub(crate) fn key(&self) -> Option<&String> {
        match &self.kind {
            FieldKind::Option { key, .. } | FieldKind::List { key, .. } => Some(key),
            FieldKind::Skip | FieldKind::Flatten { .. } => None,
        }
    }

    pub(crate) fn holds(&self) -> Holds<'_> {
        match (&self.kind, argument_of(self.ty, "Option"), argument_of(self.ty, "Vec")) {
            (_, Some(ty), _) => Holds::AtMostOne(ty),
            (FieldKind::List { .. }, _, Some(ty)) => Holds::Any(ty),
            _ => Holds::One,
        }
    }

    /// Whether a constructor has to be given a value.
    pub(crate) fn is_required(&self) -> bool {
        self.built.preset.is_none() && !matches!(self.kind, FieldKind::Skip) && matches!(self.holds(), Holds::One)
    }
}

/// The `T` of `Name<T>`, at the end of any path.
fn argument_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    // A type from a macro's `$ty` stands in a group of its own.
    let ty = if let Type::Group(group) = ty { &*group.elem } else { ty };
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| path.qself.is_none() && last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(ty)) if arguments.args.len() == 1 => Some(ty),
        _ => None,
    }
}

/// Types that everybody has, and that are option values.
pub(crate) const PLAIN: &[&str] =
    &["bool", "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize", "char", "String"];

/// The name of a type that needs no span: a number, `bool`, `String`, or an `Option` of one.
fn plain(ty: &Type) -> Option<String> {
    let Type::Path(TypePath { qself: None, path, .. }) = ty else { return None };
    let segment = path.segments.first().filter(|_| path.segments.len() == 1 && path.leading_colon.is_none())?;
    match &segment.arguments {
        PathArguments::None => PLAIN.iter().find(|name| segment.ident == **name).map(|name| (*name).to_owned()),
        PathArguments::AngleBracketed(arguments) if segment.ident == "Option" => match arguments.args.first()? {
            GenericArgument::Type(ty @ Type::Path(_)) if arguments.args.len() == 1 => {
                plain(ty).filter(|name| !name.starts_with("Option")).map(|name| format!("Option<{name}>"))
            }
            _ => None,
        },
        _ => None,
    }
}

impl<'a> Item<'a> {
    pub(crate) fn new(cx: &Ctxt, input: &'a DeriveInput) -> Self {
        let attrs = ContainerAttrs::read(cx, &input.attrs);
        check::container(cx, &attrs, &input.data);
        let is_packed = check::packed(cx, &input.attrs);
        let case = attrs.rename_all.unwrap_or(Case::Kebab);
        let shape = match &input.data {
            Data::Struct(data) => {
                let builds = attrs.build.is_some() || attrs.setters.is_some();
                let fields = fields(cx, &data.fields, case, builds);
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
                check::words(cx, &variants, attrs.tag.as_ref());
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
        let shape = if is_packed || is_broken(&input.data, attrs.value.is_some()) { Shape::Broken } else { shape };
        Self {
            ident: &input.ident,
            generics: &input.generics,
            krate: attrs.krate,
            vis: &input.vis,
            read: attrs.read.is_some(),
            setters: attrs.setters.is_some() || attrs.build.is_some(),
            build: attrs.build,
            check: attrs.check,
            bus: attrs.bus,
            single: attrs.single,
            is_value: attrs.value.is_some(),
            virtio_device: attrs.virtio.is_some() && attrs.device.is_some(),
            shape,
        }
    }
}

/// An item without its inside.
pub(crate) fn outside(input: syn::parse::ParseStream<'_>) -> syn::Result<DeriveInput> {
    let attrs = Attribute::parse_outer(input)?;
    let vis = input.parse()?;
    let data = if input.peek(syn::Token![enum]) {
        let (enum_token, brace_token, variants) =
            (input.parse()?, syn::token::Brace::default(), syn::punctuated::Punctuated::new());
        Data::Enum(syn::DataEnum { enum_token, brace_token, variants })
    } else {
        Data::Struct(syn::DataStruct { struct_token: input.parse()?, fields: Fields::Unit, semi_token: None })
    };
    let (ident, generics) = (input.parse()?, input.parse()?);
    input.parse::<proc_macro2::TokenStream>()?;
    Ok(DeriveInput { attrs, vis, ident, generics, data })
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
                    Fields::Unnamed(fields) => {
                        value || fields.unnamed.len() != 1 || check::is_one_value(&fields.unnamed[0].ty)
                    }
                })
        }
        Data::Union(_) => true,
    }
}

fn variant<'a>(cx: &Ctxt, source: &'a syn::Variant, case: Case) -> Variant<'a> {
    let attrs = FieldAttrs::read(cx, &source.attrs, Place::Variant);
    let name_span = attrs.rename.as_ref().map_or_else(|| source.ident.span(), syn::LitStr::span);
    let name = attrs.rename.map_or_else(|| derived_key(cx, case, &source.ident), |name| name.value());
    let (style, fields) = match &source.fields {
        Fields::Unit => (Style::Unit, Vec::new()),
        Fields::Named(_) => (Style::Named, fields(cx, &source.fields, attrs.rename_all.unwrap_or(case), false)),
        Fields::Unnamed(unnamed) => {
            if unnamed.unnamed.len() != 1 {
                cx.error(unnamed.span(), "options have names: use `{ name: Type, ... }`, or one struct of options");
            } else if let ty = &unnamed.unnamed[0].ty
                && check::is_one_value(ty)
            {
                let ty = quote::quote!(#ty);
                let message = "a variant in parentheses holds a struct of options, and this is one value: write";
                cx.error(unnamed.span(), format!("{message} `{} {{ name: {ty} }}`", source.ident));
            }
            let field = unnamed.unnamed.first().map(|field| Field {
                member: Member::from(0),
                binding: format_ident!("__qemu_0"),
                ty: &field.ty,
                plain: None,
                kind: FieldKind::Flatten { prefix: String::new() },
                rules: Rules::default(),
                doc: String::new(),
                built: Built { doc: None, attrs: Vec::new(), preset: None, with: None, no_setter: true },
            });
            (Style::Newtype, field.into_iter().collect())
        }
    };
    check::versions(cx, attrs.since.as_ref(), attrs.until.as_ref());
    let (since, until) = (attrs.since, attrs.until);
    Variant { ident: &source.ident, name, name_span, doc: doc(&source.attrs), style, fields, since, until }
}

/// The key that a Rust name becomes.
fn derived_key(cx: &Ctxt, case: Case, ident: &Ident) -> String {
    let key = case.apply(&ident.to_string());
    if key.is_empty() {
        cx.error(ident.span(), "no key can be made of this name: `rename` it");
    } else if let Some(c) = key.chars().find(|c| !c.is_ascii()) {
        cx.error(ident.span(), format!("names of options hold ASCII only, not {c:?}: `rename` it"));
    }
    key
}

fn fields<'a>(cx: &Ctxt, source: &'a Fields, case: Case, builds: bool) -> Vec<Field<'a>> {
    if let Fields::Unnamed(unnamed) = source {
        cx.error(unnamed.span(), "options have names: use a struct with named fields");
        return Vec::new();
    }
    let mut seen: HashMap<String, Span> = HashMap::new();
    let mut out = Vec::new();
    let mut relations = Vec::new();
    for field in source {
        let Some(ident) = &field.ident else { continue };
        let mut attrs = FieldAttrs::read(cx, &field.attrs, Place::Field);
        check::field(cx, &attrs, &field.ty, builds);
        let kind = if attrs.skip.is_some() {
            FieldKind::Skip
        } else if attrs.flatten.is_some() && attrs.list.is_none() && !check::is_one_value(&field.ty) {
            FieldKind::Flatten { prefix: attrs.prefix.as_ref().map(syn::LitStr::value).unwrap_or_default() }
        } else {
            let name = attrs.rename.as_ref().map_or_else(|| derived_key(cx, case, ident), syn::LitStr::value);
            let key = attrs.prefix.as_ref().map(syn::LitStr::value).unwrap_or_default() + &name;
            let span = attrs.rename.as_ref().map_or_else(|| ident.span(), syn::LitStr::span);
            if seen.insert(key.clone(), span).is_some() {
                cx.error(span, format!("two fields have the key `{key}`, and QEMU would keep only one of them"));
            }
            if attrs.list.is_some() {
                FieldKind::List { key, groups: attrs.flatten.is_some() }
            } else {
                FieldKind::Option { key, skip_if: attrs.skip_if.take() }
            }
        };
        relations.push((std::mem::take(&mut attrs.needs), std::mem::take(&mut attrs.conflicts)));
        let rules = Rules {
            since: attrs.since,
            until: attrs.until,
            range: attrs.range.map(|range| (range.from, range.to)),
            power_of_two: attrs.power_of_two.is_some(),
            unique: attrs.unique.as_ref().map(syn::LitStr::value),
            needs: Vec::new(),
            conflicts: Vec::new(),
        };
        let whole = if builds { whole_doc(&field.attrs) } else { None };
        let is_own =
            |attr: &&Attribute| whole.is_none() && attr.path().is_ident("doc") || attr.path().is_ident("deprecated");
        let built = Built {
            attrs: if builds { field.attrs.iter().filter(is_own).collect() } else { Vec::new() },
            doc: whole,
            preset: attrs.default,
            with: attrs.with,
            no_setter: attrs.no_setter.is_some(),
        };
        out.push(Field {
            member: Member::Named(ident.clone()),
            binding: format_ident!("__qemu_{}", out.len()),
            ty: &field.ty,
            plain: plain(&field.ty),
            kind,
            rules,
            doc: doc(&field.attrs),
            built,
        });
    }
    resolve(cx, &mut out, relations);
    if out.len() > 64 {
        cx.error(
            source.span(),
            "more than 64 options in one struct: put some in a group of their own, and `flatten` it",
        );
    }
    out
}

/// Finds the fields that `needs` and `conflicts` name.
fn resolve(cx: &Ctxt, fields: &mut [Field<'_>], relations: Vec<(Vec<syn::LitStr>, Vec<syn::LitStr>)>) {
    let keys: Vec<String> = fields.iter().map(|field| field.key().cloned().unwrap_or_default()).collect();
    for (index, (needs, conflicts)) in relations.into_iter().enumerate() {
        let find = |key: syn::LitStr| {
            let name = key.value();
            match keys.iter().position(|known| *known == name) {
                Some(other) if other == index => cx.error(key.span(), "this is the option itself: name another one"),
                Some(_) => return Some(name),
                None => {
                    let others = keys.iter().enumerate().filter(|(other, key)| *other != index && !key.is_empty());
                    let known: Vec<&str> = others.map(|(_, key)| key.as_str()).collect();
                    cx.error(key.span(), format!("there is no option `{name}` here{}", suggest(&name, &known)));
                }
            }
            None
        };
        fields[index].rules.needs = needs.into_iter().filter_map(find).collect();
        fields[index].rules.conflicts = conflicts.into_iter().filter_map(find).collect();
    }
}
