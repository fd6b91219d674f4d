//! Reads `#[qemu(...)]` attributes. Each mistake lands on its own span, and reading goes on behind it.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, Path, Type};

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
    pub(crate) read: Option<Span>,
    pub(crate) build: Option<Build>,
    pub(crate) setters: Option<Span>,
    pub(crate) check: Option<Path>,
    pub(crate) single: bool,
    pub(crate) rename_all: Option<Case>,
    pub(crate) krate: Option<Path>,
}

/// `build`, or `build = "What new() makes."`.
pub(crate) struct Build {
    pub(crate) span: Span,
    pub(crate) doc: Option<LitStr>,
}

/// What stands on a field or a variant.
#[derive(Default)]
pub(crate) struct FieldAttrs {
    pub(crate) rename: Option<LitStr>,
    pub(crate) rename_all: Option<Case>,
    pub(crate) prefix: Option<LitStr>,
    pub(crate) flatten: Option<Span>,
    pub(crate) list: Option<Span>,
    pub(crate) skip: Option<Span>,
    pub(crate) skip_if: Option<Path>,
    pub(crate) since: Option<Version>,
    pub(crate) until: Option<Version>,
    pub(crate) range: Option<Range>,
    pub(crate) power_of_two: Option<Span>,
    pub(crate) unique: Option<LitStr>,
    pub(crate) needs: Vec<LitStr>,
    pub(crate) conflicts: Vec<LitStr>,
    pub(crate) default: Option<Preset>,
    pub(crate) with: Option<With>,
    pub(crate) no_setter: Option<Span>,
}

/// `1..=1024`. The bounds are constants of any integer type.
pub(crate) struct Range {
    pub(crate) span: Span,
    pub(crate) from: TokenStream,
    pub(crate) to: TokenStream,
}

/// `default`, or `default = expression`.
pub(crate) struct Preset {
    pub(crate) span: Span,
    pub(crate) value: Option<TokenStream>,
}

/// `with = |name: Type| expression`: what callers give, and how it becomes the value.
pub(crate) struct With {
    pub(crate) span: Span,
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    pub(crate) value: TokenStream,
}

/// A `"major.minor"` literal.
pub(crate) struct Version {
    pub(crate) major: u16,
    pub(crate) minor: u16,
    pub(crate) literal: LitStr,
}

const CONTAINER: &[&str] = &[
    "device",
    "implied",
    "virtio",
    "bus",
    "tag",
    "value",
    "single",
    "build",
    "setters",
    "read",
    "check",
    "rename_all",
    "crate",
];
const FIELD: &[&str] = &[
    "rename",
    "prefix",
    "flatten",
    "list",
    "skip",
    "skip_if",
    "since",
    "until",
    "range",
    "power_of_two",
    "unique",
    "needs",
    "conflicts",
    "default",
    "with",
    "no_setter",
];
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
            "device" => set(cx, &meta, &mut out.device, |m| text(cx, m)),
            "implied" => set(cx, &meta, &mut out.implied, |m| text(cx, m)),
            "virtio" => set(cx, &meta, &mut out.virtio, |m| Ok(span(m))),
            "bus" => set(cx, &meta, &mut out.bus, |m| bus(cx, m)),
            "tag" => set(cx, &meta, &mut out.tag, |m| text(cx, m)),
            "value" => set(cx, &meta, &mut out.value, |m| Ok(span(m))),
            "single" => {
                out.single = true;
                Ok(())
            }
            "read" => set(cx, &meta, &mut out.read, |m| Ok(span(m))),
            "build" => set(cx, &meta, &mut out.build, |m| {
                let doc = if m.input.peek(syn::Token![=]) { Some(m.value()?.parse()?) } else { None };
                Ok(Build { span: span(m), doc })
            }),
            "setters" => set(cx, &meta, &mut out.setters, |m| Ok(span(m))),
            "check" => set(cx, &meta, &mut out.check, path),
            "write_only" => {
                cx.push(meta.error("reading back is asked for with `read`: remove `write_only`"));
                Ok(())
            }
            "rename_all" => set(cx, &meta, &mut out.rename_all, |m| case(cx, m)),
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
            (_, "rename") => set(cx, &meta, &mut out.rename, |m| text(cx, m)),
            (Place::Variant, "rename_all") => set(cx, &meta, &mut out.rename_all, |m| case(cx, m)),
            (Place::Field, "prefix") => set(cx, &meta, &mut out.prefix, |m| text(cx, m)),
            (Place::Field, "flatten") => set(cx, &meta, &mut out.flatten, |m| Ok(span(m))),
            (Place::Field, "list") => set(cx, &meta, &mut out.list, |m| Ok(span(m))),
            (Place::Field, "range") => set(cx, &meta, &mut out.range, range),
            (Place::Field, "power_of_two") => set(cx, &meta, &mut out.power_of_two, |m| Ok(span(m))),
            (Place::Field, "unique") => set(cx, &meta, &mut out.unique, |m| quoted(cx, m, "\"mac\"")),
            (Place::Field, "needs") => text(cx, &meta).map(|key| out.needs.push(key)),
            (Place::Field, "conflicts") => text(cx, &meta).map(|key| out.conflicts.push(key)),
            (Place::Field, "default") => set(cx, &meta, &mut out.default, |m| {
                let value = if m.input.peek(syn::Token![=]) { Some(expression(m)?) } else { None };
                Ok(Preset { span: span(m), value })
            }),
            (Place::Field, "with") => set(cx, &meta, &mut out.with, with),
            (Place::Field, "no_setter") => set(cx, &meta, &mut out.no_setter, |m| Ok(span(m))),
            (Place::Field, "skip") => set(cx, &meta, &mut out.skip, |m| Ok(span(m))),
            (Place::Field, "skip_if") => set(cx, &meta, &mut out.skip_if, path),
            (_, "since") => set(cx, &meta, &mut out.since, |m| version(cx, m)),
            (_, "until") => set(cx, &meta, &mut out.until, |m| version(cx, m)),
            (Place::Field, _) => unknown(cx, key, &meta, FIELD, &[("struct or enum", CONTAINER)]),
            (Place::Variant, _) => unknown(cx, key, &meta, VARIANT, &[("field", FIELD), ("struct or enum", CONTAINER)]),
        });
        out
    }
}

/// The whole documentation, where it is plain text.
pub(crate) fn whole_doc(attrs: &[Attribute]) -> Option<String> {
    let mut lines = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("doc")) {
        let Meta::NameValue(meta) = &attr.meta else { return None };
        let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &meta.value else { return None };
        lines.push(line.value());
    }
    Some(lines.join("\n"))
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
        expression(meta)?;
    }
    Ok(())
}

fn span(meta: &ParseNestedMeta<'_>) -> Span {
    use syn::spanned::Spanned as _;
    meta.path.span()
}

/// Text in quotes. Without them it is an error, and read all the same: one mistake is one error.
fn quoted(cx: &Ctxt, meta: &ParseNestedMeta<'_>, example: &str) -> syn::Result<LitStr> {
    use syn::spanned::Spanned as _;
    if meta.input.peek(syn::Token![=]) && meta.input.peek2(LitStr) {
        return meta.value()?.parse();
    }
    let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
    let wrong = |span| syn::Error::new(span, format!("this is text, in quotes: `{key} = {example}`"));
    let tokens = expression(meta).map_err(|error| wrong(error.span()))?;
    cx.push(wrong(tokens.span()));
    Ok(LitStr::new(&tokens.to_string().replace(' ', ""), tokens.span()))
}

fn bus(cx: &Ctxt, meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    let wrong = |span| {
        syn::Error::new(span, "a bus is a type: write `bus = Pci`, without quotes, after `use qemu_dsl::bus::Pci;`")
    };
    expression(meta).and_then(syn::parse2).or_else(|error| {
        cx.push(wrong(error.span()));
        // Some bus, so that the device is one all the same.
        Ok(syn::parse_quote!(__q::Virtio))
    })
}

fn text(cx: &Ctxt, meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    let text = quoted(cx, meta, "\"edu\"")?;
    if text.value().is_empty() {
        return Err(syn::Error::new(text.span(), "a name has at least one letter, and this one is empty: remove it"));
    }
    let bad = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if let Some(c) = text.value().chars().find(|c| bad(*c)) {
        return Err(syn::Error::new(
            text.span(),
            format!("names of options hold only letters, digits, `-`, `_` and `.`, not {c:?}"),
        ));
    }
    Ok(text)
}

/// Everything up to the next comma.
fn expression(meta: &ParseNestedMeta<'_>) -> syn::Result<TokenStream> {
    up_to(meta.value()?, |input| input.peek(syn::Token![,]))
}

fn up_to(input: ParseStream<'_>, is_end: impl Fn(ParseStream<'_>) -> bool) -> syn::Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !is_end(input) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    if tokens.is_empty() { Err(input.error("expected an expression")) } else { Ok(tokens) }
}

fn range(meta: &ParseNestedMeta<'_>) -> syn::Result<Range> {
    let input = meta.value()?;
    let wrong = |error: syn::Error| syn::Error::new(error.span(), "a range is written `1..=1024`, with both ends");
    let from = up_to(input, |input| input.peek(syn::Token![..=]) || input.peek(syn::Token![,])).map_err(wrong)?;
    input.parse::<syn::Token![..=]>().map_err(wrong)?;
    let to = up_to(input, |input| input.peek(syn::Token![,])).map_err(wrong)?;
    Ok(Range { span: span(meta), from, to })
}

fn with(meta: &ParseNestedMeta<'_>) -> syn::Result<With> {
    let input = meta.value()?;
    let wrong = |error: syn::Error| syn::Error::new(error.span(), "`with` is written `with = |name: Type| expression`");
    input.parse::<syn::Token![|]>().map_err(wrong)?;
    let name = input.parse::<Ident>().map_err(wrong)?;
    input.parse::<syn::Token![:]>().map_err(wrong)?;
    let ty = input.parse::<Type>()?;
    input.parse::<syn::Token![|]>().map_err(wrong)?;
    let value = up_to(input, |input| input.peek(syn::Token![,])).map_err(wrong)?;
    Ok(With { span: span(meta), name, ty, value })
}

fn path(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    let value = meta.value()?;
    if value.peek(LitStr) { value.parse::<LitStr>()?.parse() } else { value.parse() }
}

fn case(cx: &Ctxt, meta: &ParseNestedMeta<'_>) -> syn::Result<Case> {
    let text = quoted(cx, meta, "\"snake_case\"")?;
    let value = text.value();
    CASES.iter().find(|(name, _)| *name == value).map(|(_, case)| *case).ok_or_else(|| {
        let names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
        syn::Error::new(text.span(), format!("there is no case `{value}`{}", suggest(&value, &names)))
    })
}

fn version(cx: &Ctxt, meta: &ParseNestedMeta<'_>) -> syn::Result<Version> {
    let literal = quoted(cx, meta, "\"9.2\"")?;
    let text = literal.value();
    text.split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .map(|(major, minor)| Version { major, minor, literal: literal.clone() })
        .ok_or_else(|| syn::Error::new(literal.span(), "a version is written `\"major.minor\"`, such as `\"9.2\"`"))
}
