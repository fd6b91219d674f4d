//! Reading back, for items that ask for it.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;

use super::out::Out;
use super::{Bounds, bounded, header};
use crate::model::{Field, FieldKind, Head, Item, Shape, Style, Variant};

pub(super) fn read(out: &mut Out, item: &Item<'_>, shape: &Shape<'_>) {
    let body = match shape {
        Shape::Struct { head, fields } => {
            let head = match head {
                Head::None => quote!(),
                Head::Implied(name) => quote!(__qemu_reader.take_head(#name, false)?;),
                Head::Virtio(name) => quote!(__qemu_reader.take_head(#name, true)?;),
            };
            let fields = fields.iter().map(field);
            quote!(#head ::core::result::Result::Ok(Self { #(#fields),* }))
        }
        Shape::Enum { tag, variants } => {
            let names: Vec<&String> = variants.iter().map(|variant| &variant.name).collect();
            let tag = if let Some(tag) = tag {
                quote!(::core::option::Option::Some(#tag))
            } else {
                quote!(::core::option::Option::None)
            };
            let arms = variants.iter().enumerate().map(|(number, Variant { ident, fields, style, .. })| {
                let fields = fields.iter().map(field);
                let built = match style {
                    Style::Unit => quote!(Self::#ident),
                    Style::Named | Style::Newtype => quote!(Self::#ident { #(#fields),* }),
                };
                let number = proc_macro2::Literal::usize_unsuffixed(number);
                quote!(#number => #built,)
            });
            quote! {
                ::core::result::Result::Ok(match __qemu_reader.take_variant(#tag, &[#(#names),*])? {
                    #(#arms)*
                    _ => ::core::unreachable!(),
                })
            }
        }
        Shape::Value(_) | Shape::Broken => return,
    };
    header(out, item, "__q::ReadOpts", &bounded(item, &Bounds::READ));
    out.tokens(quote! {{
        fn read_from(
            __qemu_reader: &mut __q::OptReader<'_>,
        ) -> ::core::result::Result<Self, __q::ReadError> {
            #body
        }
    }});
}

fn field(Field { member, ty, kind, .. }: &Field<'_>) -> TokenStream {
    let read = match kind {
        FieldKind::Skip => quote_spanned!(ty.span()=> <#ty as ::core::default::Default>::default()),
        FieldKind::Flatten { prefix } => quote_spanned!(ty.span()=> __qemu_reader.flatten::<#ty>(#prefix)?),
        FieldKind::List { key, .. } => quote_spanned!(ty.span()=> __qemu_reader.take_list::<#ty>(#key)?),
        FieldKind::Option { key, skip_if: None } => quote_spanned!(ty.span()=> __qemu_reader.take::<#ty>(#key)?),
        FieldKind::Option { key, .. } => quote_spanned!(ty.span()=> __qemu_reader.take_or_default::<#ty>(#key)?),
    };
    quote!(#member: #read)
}
