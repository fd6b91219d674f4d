//! Enums of words: `OptValue`, and `OptRead` where it is asked for.

use proc_macro2::Literal;
use quote::quote;

use super::header;
use super::out::Out;
use crate::model::{Item, Style, Variant};

pub(super) fn value(out: &mut Out, item: &Item<'_>, variants: &[Variant<'_>]) {
    let names: Vec<&String> = variants.iter().map(|variant| &variant.name).collect();
    let idents: Vec<_> = variants.iter().filter(|variant| variant.style == Style::Unit).map(|v| &v.ident).collect();
    header(out, item, "__q::OptValue", item.generics);
    out.tokens(quote! {{
        const TYPE: __q::OptType = __q::OptType::OneOf(&[#(#names),*]);

        fn write_value(&self, __qemu_value: &mut __q::ValueWriter<'_, '_>) {
            // Names of options hold nothing to escape.
            __qemu_value.word(match self { #(Self::#idents => #names,)* _ => "" });
        }
    }});
    if item.read {
        let bytes = names.iter().map(|name| Literal::byte_string(name.as_bytes()));
        let expected = format!("`{}`", names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join("`, `"));
        header(out, item, "__q::OptRead", item.generics);
        out.tokens(quote! {{
            fn read_value(__qemu_text: &[u8]) -> ::core::result::Result<Self, __q::ValueError> {
                match __qemu_text {
                    #(#bytes => ::core::result::Result::Ok(Self::#idents),)*
                    _ => ::core::result::Result::Err(__q::ValueError::expected(#expected)),
                }
            }
        }});
    }
}
