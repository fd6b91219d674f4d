//! The constructor and the setters.

use proc_macro::Delimiter;
use quote::quote;

use super::out::Out;
use super::{implementation, visibility};
use crate::attr::Build;
use crate::model::{Field, FieldKind, Holds, Item, Rules, Shape};

pub(super) fn build(out: &mut Out, item: &Item<'_>) {
    let Shape::Struct { fields, .. } = &item.shape else { return };
    out.text("#[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]");
    implementation(out, item, None, item.generics);
    out.group(Delimiter::Brace, |out| {
        if let Some(build) = &item.build {
            constructor(out, item, build, fields);
        }
        for field in fields {
            let has_setter = !field.is_required() && !field.built.no_setter && !matches!(field.kind, FieldKind::Skip);
            if has_setter {
                setter(out, item, field);
            }
        }
    });
}

fn constructor(out: &mut Out, item: &Item<'_>, build: &Build, fields: &[Field<'_>]) {
    let required = || fields.iter().filter(|field| field.is_required());
    let doc = build.doc.as_ref().map(syn::LitStr::value);
    let doc = doc.unwrap_or_else(|| {
        let what = if required().next().is_some() { "With what is required; the rest is" } else { "With" };
        format!("{what} QEMU's defaults.")
    });
    out.text(&format!("#[doc = {doc:?}] #[must_use]"));
    visibility(out, item);
    let calls = |field: &Field<'_>| field.built.with.is_some() && field.is_required() || field.built.preset.is_some();
    let is_const =
        !fields.iter().any(|field| calls(field) || matches!(field.kind, FieldKind::Skip | FieldKind::List { .. }));
    out.text(if is_const { "const fn new" } else { "fn new" });
    out.group(Delimiter::Parenthesis, |out| {
        for field in required() {
            argument(out, field, field.ty, field.plain.as_deref());
            out.text(",");
        }
    });
    out.text("-> Self");
    out.group(Delimiter::Brace, |out| {
        // First the arguments, which the presets may use.
        for field in required() {
            if let Some(with) = &field.built.with {
                let (member, value) = (&field.member, &with.value);
                let name = &with.name;
                out.tokens(quote!(let #member = { let #name = #member; #value };));
            }
        }
        out.text("Self");
        out.group(Delimiter::Brace, |out| {
            for field in fields {
                let syn::Member::Named(member) = &field.member else { continue };
                match (&field.built.preset, field.holds()) {
                    (Some(preset), _) => match &preset.value {
                        Some(value) => out.tokens(quote!(#member: #value,)),
                        None => out.tokens(quote!(#member: ::core::default::Default::default(),)),
                    },
                    (None, Holds::AtMostOne(_)) => out.text(&format!("{member}: ::core::option::Option::None,")),
                    (None, _) if field.is_required() && field.built.with.is_none() => out.text(&format!("{member},")),
                    (None, _) if field.is_required() => out.tokens(quote!(#member,)),
                    (None, _) => out.tokens(quote!(#member: ::core::default::Default::default(),)),
                }
            }
        });
    });
}

/// `name: Type`, with what `with` takes instead.
fn argument(out: &mut Out, field: &Field<'_>, ty: &syn::Type, plain: Option<&str>) {
    let syn::Member::Named(member) = &field.member else { return };
    match &field.built.with {
        // Its own tokens, for what `with` makes of it.
        Some(_) => out.tokens(member),
        None => out.text(&member.to_string()),
    }
    out.text(":");
    match &field.built.with {
        None => match plain {
            Some(name) => out.text(name),
            None => out.tokens(ty),
        },
        Some(with) => out.tokens(&with.ty),
    }
}

fn setter(out: &mut Out, item: &Item<'_>, field: &Field<'_>) {
    let syn::Member::Named(member) = &field.member else { return };
    let name = member.to_string();
    documentation(out, field);
    for attr in field.built.attrs.iter().filter(|attr| !attr.path().is_ident("doc")) {
        out.tokens(attr);
    }
    out.text("#[must_use]");
    visibility(out, item);
    out.text(&format!("fn {name}"));
    let ty = match field.holds() {
        Holds::One => field.ty,
        Holds::AtMostOne(ty) | Holds::Any(ty) => ty,
    };
    out.group(Delimiter::Parenthesis, |out| {
        out.text("mut self,");
        let inner =
            |plain: &'_ str| plain.strip_prefix("Option<").and_then(|name| name.strip_suffix('>')).map(str::to_owned);
        let plain = match field.holds() {
            Holds::AtMostOne(_) => field.plain.as_deref().and_then(inner),
            _ => field.plain.clone(),
        };
        argument(out, field, ty, plain.as_deref());
    });
    out.text("-> Self");
    out.group(Delimiter::Brace, |out| {
        if let Some(with) = &field.built.with {
            let (given, value) = (&with.name, &with.value);
            out.tokens(quote!(let #member = { let #given = #member; #value };));
        }
        out.text(&match field.holds() {
            Holds::One => format!("self.{name} = {name}; self"),
            Holds::AtMostOne(_) => format!("self.{name} = ::core::option::Option::Some({name}); self"),
            Holds::Any(_) => format!("self.{name}.push({name}); self"),
        });
    });
}

/// The field's own documentation, and its rules.
fn documentation(out: &mut Out, field: &Field<'_>) {
    let rules = rules(&field.rules, field.key());
    match &field.built.doc {
        Some(doc) if doc.is_empty() => {
            let what =
                field.key().map_or_else(|| "Sets a group of options.".to_owned(), |key| format!("Sets `{key}=`."));
            out.text(&format!("#[doc = {what:?}]"));
        }
        Some(doc) => out.text(&format!("#[doc = {doc:?}]")),
        None => {
            for attr in field.built.attrs.iter().filter(|attr| attr.path().is_ident("doc")) {
                out.tokens(attr);
            }
        }
    }
    if !rules.is_empty() {
        out.text(&format!("#[doc = {:?}]", format!("\n\n{rules}")));
    }
}

fn rules(rules: &Rules, key: Option<&String>) -> String {
    let mut out = Vec::new();
    let power = if rules.power_of_two { "a power of two, " } else { "" };
    match &rules.range {
        Some((from, to)) => out.push(format!("{power}`{from}` to `{to}`; any other number is an error of the VM")),
        None if rules.power_of_two => out.push("a power of two; any other number is an error of the VM".to_owned()),
        None => {}
    }
    if rules.unique.is_some() {
        out.push("no two devices of a VM have the same".to_owned());
    }
    out.extend(rules.needs.iter().map(|other| format!("only together with `{other}=`")));
    out.extend(rules.conflicts.iter().map(|other| format!("not together with `{other}=`")));
    match (&rules.since, &rules.until) {
        (Some(since), Some(until)) => {
            out.push(format!("QEMU {} to {}", since.literal.value(), until.literal.value()));
        }
        (Some(since), None) => out.push(format!("QEMU {} and later", since.literal.value())),
        (None, Some(until)) => out.push(format!("QEMU {} and earlier", until.literal.value())),
        (None, None) => {}
    }
    match key {
        Some(key) if !out.is_empty() => format!("`{key}=`: {}.", out.join("; ")),
        _ => String::new(),
    }
}
