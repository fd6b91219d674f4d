//! The schema, which is constants, and the writing, which is one call over an array.

use proc_macro::Delimiter;
use quote::quote_spanned;
use syn::spanned::Spanned as _;

use super::out::Out;
use super::{Bounds, bounded, header};
use crate::attr::Version;
use crate::model::{Field, FieldKind, Head, Item, Rules, Shape, Variant};

/// The traits of an item that cannot have them, so that its uses give no errors of their own.
pub(super) fn broken(out: &mut Out, item: &Item<'_>) {
    if item.is_value {
        header(out, item, "__q::OptValue", item.generics);
        return out.text(
            "{ const TYPE: __q::OptType = __q::OptType::Text;
               fn write_value(&self, _: &mut __q::ValueWriter<'_, '_>) {} }",
        );
    }
    header(out, item, "__q::QemuOpts", item.generics);
    out.text(
        "{ const SCHEMA: &'static __q::Schema = &__q::Schema::new(__q::Head::None, &[]);
           fn write_opts(&self, _: &mut __q::OptWriter<'_>) {} }",
    );
}

pub(super) fn write(out: &mut Out, item: &Item<'_>, shape: &Shape<'_>) {
    header(out, item, "__q::QemuOpts", &bounded(item, &Bounds::WRITE));
    out.group(Delimiter::Brace, |out| {
        out.text("const SCHEMA: &'static __q::Schema = &__q::Schema::derived");
        out.group(Delimiter::Parenthesis, |out| schema(out, shape));
        // Other types' keys are known to the compiler only.
        if has_groups(shape) {
            out.text(".checked()");
        }
        out.text("; fn write_opts(&self, __qemu_writer: &mut __q::OptWriter<'_>)");
        out.group(Delimiter::Brace, |out| body(out, item, shape));
    });
}

fn has_groups(shape: &Shape<'_>) -> bool {
    let is_group = |field: &Field<'_>| matches!(field.kind, FieldKind::Flatten { .. });
    match shape {
        Shape::Struct { fields, .. } => fields.len() > 1 && fields.iter().any(is_group),
        Shape::Enum { tag, variants } => {
            let has = |variant: &Variant<'_>| variant.fields.iter().any(is_group);
            variants.iter().any(|variant| has(variant) && (tag.is_some() || variant.fields.len() > 1))
        }
        Shape::Value(_) | Shape::Broken => false,
    }
}

fn schema(out: &mut Out, shape: &Shape<'_>) {
    match shape {
        Shape::Struct { head, fields } => {
            match head {
                Head::None => out.text("__q::Head::None,"),
                Head::Implied(name) => out.text(&format!("__q::Head::Implied({name:?}),")),
                Head::Virtio(name) => out.text(&format!("__q::Head::Virtio({name:?}),")),
            }
            fields_schema(out, fields);
        }
        Shape::Enum { tag, variants } => {
            out.text("__q::Head::Variants");
            out.group(Delimiter::Brace, |out| {
                match tag {
                    None => out.text("tag: ::core::option::Option::None, variants: &"),
                    Some(tag) => out.text(&format!("tag: ::core::option::Option::Some({tag:?}), variants: &")),
                }
                out.group(Delimiter::Bracket, |out| {
                    for Variant { name, doc, fields, since, until, .. } in variants {
                        out.text("__q::VariantSchema::derived");
                        out.group(Delimiter::Parenthesis, |out| {
                            out.text(&format!("__q::Key::new({name:?})"));
                            for (method, version) in [("since", since), ("until", until)] {
                                if let Some(version) = version {
                                    out.text(&format!(".{method}({})", numbers(version)));
                                }
                            }
                            out.text(&format!(", {doc:?},"));
                            fields_schema(out, fields);
                        });
                        out.text(",");
                    }
                });
            });
            out.text(", __q::Fields::NONE");
        }
        Shape::Value(_) | Shape::Broken => {}
    }
}

fn numbers(Version { major, minor, literal }: &Version) -> String {
    format!("({major}, {minor}), {:?}", literal.value())
}

fn fields_schema(out: &mut Out, fields: &[Field<'_>]) {
    let fields: Vec<&Field<'_>> = fields.iter().filter(|field| !matches!(field.kind, FieldKind::Skip)).collect();
    if fields.is_empty() {
        return out.text("__q::Fields::NONE");
    }
    out.text("__q::Fields");
    out.group(Delimiter::Brace, |out| {
        let keys: Vec<String> = fields.iter().map(|field| format!("\",{}=\"", written_key(field))).collect();
        let docs: Vec<&str> = fields.iter().map(|field| field.doc.as_str()).collect();
        out.text(&format!("keys: &[{}], docs: {:?}, kinds: &", keys.join(","), docs.join("\n")));
        out.group(Delimiter::Bracket, |out| {
            for Field { ty, plain, kind, .. } in &fields {
                if let (FieldKind::Option { .. }, Some(name)) = (kind, plain) {
                    out.text(&format!("<{name} as __q::OptField>::KIND,"));
                    continue;
                }
                // With the type's own span, so that a type that is no option value is reported there.
                out.tokens(match kind {
                    FieldKind::Flatten { .. } => {
                        quote_spanned!(ty.span()=> __q::Kind::group(<#ty as __q::QemuOpts>::SCHEMA),)
                    }
                    FieldKind::List { groups: false, .. } => quote_spanned!(ty.span()=> <#ty as __q::OptList>::KIND,),
                    FieldKind::List { groups: true, .. } => quote_spanned!(ty.span()=> <#ty as __q::OptGroups>::KIND,),
                    FieldKind::Option { .. } | FieldKind::Skip => {
                        quote_spanned!(ty.span()=> <#ty as __q::OptField>::KIND,)
                    }
                });
            }
        });
        out.text(", notes: &");
        out.group(Delimiter::Bracket, |out| {
            let numbers = numbering(&fields);
            for (number, field) in fields.iter().enumerate() {
                notes(out, number, &field.rules, &numbers);
            }
        });
    });
}

fn written_key<'f>(field: &'f Field<'_>) -> &'f str {
    match &field.kind {
        FieldKind::Flatten { prefix } => prefix,
        _ => field.key().map_or("", String::as_str),
    }
}

/// The number of each field of the item among those that are written.
fn numbering(fields: &[&Field<'_>]) -> Vec<(String, usize)> {
    fields.iter().enumerate().filter_map(|(number, field)| Some((field.key()?.clone(), number))).collect()
}

fn notes(out: &mut Out, number: usize, rules: &Rules, numbers: &[(String, usize)]) {
    if let Some(version) = &rules.since {
        out.text(&format!("__q::Note::since({number}, {}),", self::numbers(version)));
    }
    if let Some(version) = &rules.until {
        out.text(&format!("__q::Note::until({number}, {}),", self::numbers(version)));
    }
    if let Some((from, to)) = &rules.range {
        out.text("__q::Note::range");
        out.group(Delimiter::Parenthesis, |out| {
            out.text(&format!("{number},"));
            out.group(Delimiter::Parenthesis, |out| out.tokens(from));
            out.text("as i128,");
            out.group(Delimiter::Parenthesis, |out| out.tokens(to));
            out.text("as i128");
        });
        out.text(",");
    }
    if rules.power_of_two {
        out.text(&format!("__q::Note::power_of_two({number}),"));
    }
    if let Some(name) = &rules.unique {
        out.text(&format!("__q::Note::unique({number}, {name:?}),"));
    }
    for (relation, others) in [("needs", &rules.needs), ("conflicts", &rules.conflicts)] {
        for other in others {
            if let Some((_, other)) = numbers.iter().find(|(key, _)| key == other) {
                out.text(&format!("__q::Note::{relation}({number}, {other}),"));
            }
        }
    }
}

fn body(out: &mut Out, item: &Item<'_>, shape: &Shape<'_>) {
    match shape {
        Shape::Struct { fields, .. } => {
            out.text("__q::write");
            out.group(Delimiter::Parenthesis, |out| {
                out.text("__qemu_writer, <Self as __q::QemuOpts>::SCHEMA, &");
                let reference = |field: &Field<'_>| {
                    let member = &field.member;
                    quote_spanned!(field.ty.span()=> &self.#member)
                };
                let text = |field: &Field<'_>| match &field.member {
                    syn::Member::Named(name) => format!("&self.{name}"),
                    syn::Member::Unnamed(index) => format!("&self.{}", index.index),
                };
                parts(out, fields, reference, text);
            });
            if let Some(check) = &item.check {
                out.text(";");
                out.tokens(check);
                out.text("(self, __qemu_writer)");
            }
        }
        Shape::Enum { variants, .. } => {
            out.text("match self");
            out.group(Delimiter::Brace, |out| {
                for (number, variant) in variants.iter().enumerate() {
                    let ident = &variant.ident;
                    let bound =
                        variant.fields.iter().map(|Field { member, binding, .. }| quote::quote!(#member: #binding));
                    out.tokens(quote::quote!(Self::#ident { #(#bound,)* }));
                    out.text("=> __q::write_variant");
                    out.group(Delimiter::Parenthesis, |out| {
                        out.text(&format!("__qemu_writer, <Self as __q::QemuOpts>::SCHEMA, {number}, &"));
                        let reference = |field: &Field<'_>| {
                            let binding = &field.binding;
                            quote::quote!(#binding)
                        };
                        parts(out, &variant.fields, reference, |field| field.binding.to_string());
                    });
                    out.text(",");
                }
            });
        }
        Shape::Value(_) | Shape::Broken => {}
    }
}

/// The array of the fields: `access` is a reference to one, `text` says the same.
fn parts(
    out: &mut Out,
    fields: &[Field<'_>],
    access: impl Fn(&Field<'_>) -> proc_macro2::TokenStream,
    text: impl Fn(&Field<'_>) -> String,
) {
    out.group(Delimiter::Bracket, |out| {
        for field in fields {
            let ty = &field.ty;
            if let (FieldKind::Option { skip_if: None, .. }, Some(_)) = (&field.kind, &field.plain) {
                out.text(&text(field));
                out.text(",");
                continue;
            }
            let access = access(field);
            let part = match &field.kind {
                FieldKind::Skip => continue,
                FieldKind::Flatten { .. } => {
                    quote_spanned!(ty.span()=> &__q::group(#access, <#ty as __q::QemuOpts>::write_opts))
                }
                FieldKind::List { groups: false, .. } => {
                    quote_spanned!(ty.span()=> &__q::list(#access, <#ty as __q::OptList>::write_list))
                }
                FieldKind::List { groups: true, .. } => {
                    quote_spanned!(ty.span()=> &__q::list(#access, <#ty as __q::OptGroups>::write_groups))
                }
                FieldKind::Option { .. } => quote_spanned!(ty.span()=> <#ty as __q::OptField>::as_part(#access)),
            };
            match &field.kind {
                FieldKind::Option { skip_if: Some(path), .. } => {
                    out.tokens(quote_spanned!(path.span()=> if #path(#access) { __q::NOTHING } else { #part }));
                }
                _ => out.tokens(part),
            }
            out.text(",");
        }
    });
}
