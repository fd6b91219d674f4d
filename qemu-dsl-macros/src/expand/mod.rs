//! Writes the impls of a model.

mod build;
mod out;
mod read;
mod value;
mod write;

use proc_macro::Delimiter;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Generics, Type};

use self::out::Out;
use crate::model::{Field, FieldKind, Head, Item, Shape};

pub(crate) fn expand(item: &Item<'_>) -> proc_macro::TokenStream {
    let mut out = Out::default();
    out.text("#[doc(hidden)] #[allow(non_local_definitions, deprecated, clippy::all, clippy::pedantic)] const _: () =");
    out.group(Delimiter::Brace, |out| {
        match &item.krate {
            None => out.text("use ::qemu_dsl::__private as __q;"),
            Some(path) => {
                out.text("use");
                out.tokens(path);
                out.text("::__private as __q;");
            }
        }
        match &item.shape {
            Shape::Broken => {
                write::broken(out, item);
                device(out, item);
            }
            Shape::Value(variants) => value::value(out, item, variants),
            shape => {
                write::write(out, item, shape);
                if item.read {
                    read::read(out, item, shape);
                }
                device(out, item);
            }
        }
    });
    out.text(";");
    // Not in the block: a message names a method by where its `impl` is.
    if item.setters {
        build::build(&mut out, item);
    }
    out.finish()
}

/// `impl Trait for Item`, up to its body. The library's own impls are kept out of the list of "other types that implement the trait",
/// which would follow every message about a missing derive. Only those: under `no_implicit_prelude` the attribute does not resolve.
fn header(out: &mut Out, item: &Item<'_>, of: &str, generics: &Generics) {
    out.text("#[automatically_derived]");
    if std::env::var_os("CARGO_CRATE_NAME").is_some_and(|name| name == "qemu_dsl") {
        out.text("#[diagnostic::do_not_recommend]");
    }
    implementation(out, item, Some(of), generics);
}

/// `impl Item`, or `impl Trait for Item`.
fn implementation(out: &mut Out, item: &Item<'_>, of: Option<&str>, generics: &Generics) {
    let name = item.ident.to_string();
    if generics.params.is_empty() && generics.where_clause.is_none() {
        return match of {
            None => out.text(&format!("impl {name}")),
            Some(of) => out.text(&format!("impl {of} for {name}")),
        };
    }
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    out.text("impl");
    out.tokens(impl_generics);
    if let Some(of) = of {
        out.text(of);
        out.text("for");
    }
    out.text(&name);
    out.tokens(ty_generics);
    out.tokens(where_clause);
}

/// How public the item is.
fn visibility(out: &mut Out, item: &Item<'_>) {
    match item.vis {
        syn::Visibility::Public(_) => out.text("pub"),
        syn::Visibility::Inherited => {}
        syn::Visibility::Restricted(_) => out.tokens(item.vis),
    }
}

fn device(out: &mut Out, item: &Item<'_>) {
    let name = match &item.shape {
        Shape::Struct { head: Head::Implied(name) | Head::Virtio(name), .. } => name,
        Shape::Broken => "",
        _ => return,
    };
    if item.bus.is_none() && !item.virtio_device {
        return;
    }
    header(out, item, "__q::Device", &bounded(item, &Bounds::WRITE));
    out.group(Delimiter::Brace, |out| {
        out.text("type Bus =");
        match &item.bus {
            Some(bus) => out.tokens(bus),
            None => out.text("__q::Virtio"),
        }
        out.text("; const NAME: &'static str =");
        out.literal(name);
        out.text(if item.single { "; const SINGLE: bool = true;" } else { ";" });
    });
}

/// What the fields of a generic item must be.
struct Bounds {
    field: &'static [&'static str],
    group: &'static [&'static str],
    list: &'static [&'static str],
    skipped: &'static [&'static str],
}

impl Bounds {
    const WRITE: Self = Self { field: &["OptField"], group: &["QemuOpts"], list: &["OptList"], skipped: &[] };
    const READ: Self = Self {
        field: &["OptField", "OptReadField"],
        group: &["ReadOpts"],
        list: &["OptList", "OptReadList"],
        skipped: &["Default"],
    };
}

/// The item's generics, with a bound for every field type that mentions a type parameter.
fn bounded(item: &Item<'_>, bounds: &Bounds) -> Generics {
    let mut generics = item.generics.clone();
    let params: Vec<String> = item.generics.type_params().map(|param| param.ident.to_string()).collect();
    if params.is_empty() {
        return generics;
    }
    let fields: Vec<&Field<'_>> = match &item.shape {
        Shape::Struct { fields, .. } => fields.iter().collect(),
        Shape::Enum { variants, .. } | Shape::Value(variants) => {
            variants.iter().flat_map(|variant| &variant.fields).collect()
        }
        Shape::Broken => Vec::new(),
    };
    let clause = generics.make_where_clause();
    for field in fields {
        let ty = &field.ty;
        if !mentions(ty, &params) {
            continue;
        }
        let names = match &field.kind {
            FieldKind::Skip => bounds.skipped,
            FieldKind::Flatten { .. } => bounds.group,
            FieldKind::List { groups: false, .. } => bounds.list,
            FieldKind::List { groups: true, .. } => &["OptGroups"],
            FieldKind::Option { .. } => bounds.field,
        };
        for name in names {
            let name = quote::format_ident!("{name}");
            clause.predicates.push(syn::parse_quote!(#ty: __q::#name));
        }
    }
    generics
}

/// Whether one of `params` occurs in `ty`. Looking at the tokens finds a few too many, which does no harm.
fn mentions(ty: &Type, params: &[String]) -> bool {
    fn any(tokens: TokenStream, params: &[String]) -> bool {
        tokens.into_iter().any(|token| match token {
            proc_macro2::TokenTree::Ident(ident) => params.iter().any(|param| ident == param),
            proc_macro2::TokenTree::Group(group) => any(group.stream(), params),
            _ => false,
        })
    }
    any(quote!(#ty), params)
}
