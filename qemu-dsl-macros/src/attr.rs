//! Reads `#[qemu(...)]` attributes. Each mistake lands on its own span, and reading goes on behind it.

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta, Path};

use crate::ctxt::Ctxt;
use crate::words::{CASES, Case, suggest};

/// What stands on the struct or enum.
#[derive(Default)]
pub(crate) struct ContainerAttrs {
    pub(crate) device: Option<LitStr>,
    pub(crate) implied: Option<LitStr>,
    pub(crate) virtio: Option<Span>,
    pub(crate) bus: Option<Path>,
    pub(crate) tag: Option<LitStr>,
    pub(crate) value: Option<Span>,
    pub(crate) write_only: bool,
    pub(crate) single: bool,
    pub(crate) rename_all: Option<Case>,
    pub(crate) krate: Option<Path>,
}

/// What stands on a field or a variant.
#[derive(Default)]
pub(crate) struct FieldAttrs {
    pub(crate) rename: Option<LitStr>,
    pub(crate) rename_all: Option<Case>,
    pub(crate) prefix: Option<LitStr>,
    pub(crate) flatten: Option<Span>,
    pub(crate) skip: Option<Span>,
    pub(crate) skip_if: Option<Path>,
    pub(crate) since: Option<Version>,
    pub(crate) until: Option<Version>,
}

/// A `"major.minor"` literal.
pub(crate) struct Version {
    pub(crate) major: u16,
    pub(crate) minor: u16,
    pub(crate) literal: LitStr,
}

const CONTAINER: &[&str] =
    &["device", "implied", "virtio", "bus", "tag", "value", "single", "write_only", "rename_all", "crate"];
const FIELD: &[&str] = &["rename", "prefix", "flatten", "skip", "skip_if", "since", "until"];
const VARIANT: &[&str] = &["rename", "rename_all", "since", "until"];

/// Where attributes stand: which keys are known there, and what the place is called.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Field,
    Variant,
}

impl ContainerAttrs {
    pub(crate) fn read(cx: &Ctxt, attrs: &[Attribute]) -> Self {
        let mut out = Self::default();
        each(cx, attrs, |key, meta| match key {
            "device" => set(cx, &meta, &mut out.device, text),
            "implied" => set(cx, &meta, &mut out.implied, text),
            "virtio" => set(cx, &meta, &mut out.virtio, |m| Ok(span(m))),
            "bus" => set(cx, &meta, &mut out.bus, |m| m.value()?.parse()),
            "tag" => set(cx, &meta, &mut out.tag, text),
            "value" => set(cx, &meta, &mut out.value, |m| Ok(span(m))),
            "single" => {
                out.single = true;
                Ok(())
            }
            "write_only" => {
                out.write_only = true;
                Ok(())
            }
            "rename_all" => set(cx, &meta, &mut out.rename_all, case),
            "crate" => set(cx, &meta, &mut out.krate, |m| m.value()?.parse()),
            _ => unknown(cx, key, &meta, CONTAINER, &[("field", FIELD)]),
        });
        out
    }
}

impl FieldAttrs {
    pub(crate) fn read(cx: &Ctxt, attrs: &[Attribute], place: Place) -> Self {
        let mut out = Self::default();
        each(cx, attrs, |key, meta| match (place, key) {
            (_, "rename") => set(cx, &meta, &mut out.rename, text),
            (Place::Variant, "rename_all") => set(cx, &meta, &mut out.rename_all, case),
            (Place::Field, "prefix") => set(cx, &meta, &mut out.prefix, text),
            (Place::Field, "flatten") => set(cx, &meta, &mut out.flatten, |m| Ok(span(m))),
            (Place::Field, "skip") => set(cx, &meta, &mut out.skip, |m| Ok(span(m))),
            (Place::Field, "skip_if") => set(cx, &meta, &mut out.skip_if, path),
            (_, "since") => set(cx, &meta, &mut out.since, version),
            (_, "until") => set(cx, &meta, &mut out.until, version),
            (Place::Field, _) => unknown(cx, key, &meta, FIELD, &[("struct or enum", CONTAINER)]),
            (Place::Variant, _) => unknown(cx, key, &meta, VARIANT, &[("field", FIELD), ("struct or enum", CONTAINER)]),
        });
        out
    }
}

/// The first paragraph of the documentation, on one line.
pub(crate) fn doc(attrs: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("doc")) {
        if let Meta::NameValue(meta) = &attr.meta
            && let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &meta.value
        {
            let line = line.value().trim().to_owned();
            if line.is_empty() && !lines.is_empty() {
                break;
            }
            lines.push(line);
        }
    }
    lines.join(" ").trim().to_owned()
}

fn each(cx: &Ctxt, attrs: &[Attribute], mut handle: impl FnMut(&str, ParseNestedMeta<'_>) -> syn::Result<()>) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("qemu")) {
        let result = attr.parse_nested_meta(|meta| {
            let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            handle(&key, meta)
        });
        if let Err(error) = result {
            cx.push(error);
        }
    }
}

fn set<T>(
    cx: &Ctxt,
    meta: &ParseNestedMeta<'_>,
    slot: &mut Option<T>,
    read: impl FnOnce(&ParseNestedMeta<'_>) -> syn::Result<T>,
) -> syn::Result<()> {
    let value = read(meta)?;
    if slot.replace(value).is_some() {
        cx.push(meta.error("this attribute stands here twice"));
    }
    Ok(())
}

fn unknown(
    cx: &Ctxt,
    key: &str,
    meta: &ParseNestedMeta<'_>,
    here: &[&str],
    elsewhere: &[(&str, &[&str])],
) -> syn::Result<()> {
    match elsewhere.iter().find(|(_, known)| known.contains(&key)) {
        Some((place, _)) => cx.push(meta.error(format!("`{key}` belongs on a {place}, not here"))),
        None => cx.push(meta.error(format!("there is no attribute `{key}`{}", suggest(key, here)))),
    }
    // Go on behind its value, so that the mistakes after it are found too.
    if meta.input.peek(syn::Token![=]) {
        meta.value()?.parse::<Expr>()?;
    }
    Ok(())
}

fn span(meta: &ParseNestedMeta<'_>) -> Span {
    use syn::spanned::Spanned as _;
    meta.path.span()
}

fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    let text: LitStr = meta.value()?.parse()?;
    let bad = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if let Some(c) = text.value().chars().find(|c| bad(*c)) {
        return Err(syn::Error::new(
            text.span(),
            format!("names of options hold only letters, digits, `-`, `_` and `.`, not {c:?}"),
        ));
    }
    Ok(text)
}

fn path(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    let value = meta.value()?;
    if value.peek(LitStr) { value.parse::<LitStr>()?.parse() } else { value.parse() }
}

fn case(meta: &ParseNestedMeta<'_>) -> syn::Result<Case> {
    let text: LitStr = meta.value()?.parse()?;
    let value = text.value();
    CASES.iter().find(|(name, _)| *name == value).map(|(_, case)| *case).ok_or_else(|| {
        let names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
        syn::Error::new(text.span(), format!("there is no case `{value}`{}", suggest(&value, &names)))
    })
}

fn version(meta: &ParseNestedMeta<'_>) -> syn::Result<Version> {
    let literal: LitStr = meta.value()?.parse()?;
    let text = literal.value();
    text.split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .map(|(major, minor)| Version { major, minor, literal: literal.clone() })
        .ok_or_else(|| syn::Error::new(literal.span(), "a version is written `\"major.minor\"`, such as `\"9.2\"`"))
}
