//! Writes the impls of a model.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Generics, Type};

use crate::attr::Version;
use crate::model::{Field, FieldKind, Head, Item, Shape, Style, Variant};

/// Keeps the library's own types out of the list of "other types that implement the trait", which would follow every message
/// about a missing derive. Only there: under `no_implicit_prelude` the attribute does not resolve.
fn quiet() -> TokenStream {
    if std::env::var_os("CARGO_CRATE_NAME").is_some_and(|name| name == "qemu_dsl") {
        quote!(#[diagnostic::do_not_recommend])
    } else {
        TokenStream::new()
    }
}

pub(crate) fn expand(item: &Item) -> TokenStream {
    let body = match &item.shape {
        Shape::Broken => broken(item),
        Shape::Value(variants) => value(item, variants),
        shape => {
            let write = write_opts(item, shape);
            let read = if item.write_only { TokenStream::new() } else { read_opts(item, shape) };
            let device = device(item);
            quote! { #write #read #device }
        }
    };
    let krate = &item.krate;
    quote! {
        #[doc(hidden)]
        #[allow(non_local_definitions, deprecated, unused_mut, unused_variables, clippy::all, clippy::pedantic)]
        const _: () = {
            use #krate as __qemu_dsl;
            #body
        };
    }
}

/// The traits of an item that cannot have them, so that its uses give no errors of their own.
fn broken(item: &Item) -> TokenStream {
    let ident = &item.ident;
    let (impl_generics, ty_generics, where_clause) = item.generics.split_for_impl();
    let quiet = quiet();
    quote! {
        #[automatically_derived]
        #quiet
        impl #impl_generics __qemu_dsl::opts::QemuOpts for #ident #ty_generics #where_clause {
            const SCHEMA: &'static __qemu_dsl::opts::Schema =
                &__qemu_dsl::opts::Schema { head: __qemu_dsl::opts::Head::None, fields: &[] };

            fn write_opts(&self, _: &mut __qemu_dsl::opts::OptWriter<'_>) {}
        }
    }
}

fn device(item: &Item) -> TokenStream {
    let bus = match &item.bus {
        Some(bus) => quote!(#bus),
        None if item.virtio_device => quote!(__qemu_dsl::bus::Virtio),
        None => return TokenStream::new(),
    };
    let Shape::Struct { head: Head::Implied(name) | Head::Virtio(name), .. } = &item.shape else {
        return TokenStream::new();
    };
    let (ident, single) = (&item.ident, item.single);
    let generics = bounded(item, &quote!(__qemu_dsl::opts::OptField), &quote!(__qemu_dsl::opts::QemuOpts));
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let quiet = quiet();
    quote! {
        #[automatically_derived]
        #quiet
        impl #impl_generics __qemu_dsl::device::Device for #ident #ty_generics #where_clause {
            type Bus = #bus;
            const NAME: &'static str = #name;
            const SINGLE: bool = #single;
        }
    }
}

fn write_opts(item: &Item, shape: &Shape) -> TokenStream {
    let ident = &item.ident;
    let generics = bounded(item, &quote!(__qemu_dsl::opts::OptField), &quote!(__qemu_dsl::opts::QemuOpts));
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let (schema, write) = match shape {
        Shape::Struct { head, fields } => {
            let bind = fields.iter().map(|field| {
                let (member, binding) = (&field.member, &field.binding);
                quote!(let #binding = &self.#member;)
            });
            let head_write = match head {
                Head::None => quote!(),
                Head::Implied(name) => quote!(writer.implied(#name);),
                Head::Virtio(name) => quote!(writer.virtio(#name);),
            };
            let head = match head {
                Head::None => quote!(None),
                Head::Implied(name) => quote!(Implied(#name)),
                Head::Virtio(name) => quote!(Virtio(#name)),
            };
            let (schemas, writes) = (field_schemas(fields), fields.iter().map(write_field));
            (quote!(head: __qemu_dsl::opts::Head::#head, fields: #schemas), quote!(#(#bind)* #head_write #(#writes)*))
        }
        Shape::Enum { tag, variants } => {
            let schemas = variants.iter().map(|Variant { name, doc, fields, since, until, .. }| {
                let (key, fields) = (key(name, since.as_ref(), until.as_ref()), field_schemas(fields));
                quote!(__qemu_dsl::opts::VariantSchema { key: #key, doc: #doc, fields: #fields })
            });
            let arms = variants.iter().map(|variant| {
                let (pattern, name) = (pattern(variant), &variant.name);
                let head = match tag {
                    None => quote!(writer.implied(#name);),
                    Some(tag) => quote!(writer.option(&const { __qemu_dsl::opts::Key::new(#tag) }, #name);),
                };
                let head = if variant.since.is_some() || variant.until.is_some() {
                    let key = key(name, variant.since.as_ref(), variant.until.as_ref());
                    quote!(writer.require(&const { #key }); #head)
                } else {
                    head
                };
                let writes = variant.fields.iter().map(write_field);
                quote!(Self::#pattern => { #head #(#writes)* })
            });
            let tag = option(tag.as_ref().map(|tag| quote!(#tag)));
            (
                quote! {
                    head: __qemu_dsl::opts::Head::Variants { tag: #tag, variants: &[#(#schemas),*] },
                    fields: &[]
                },
                quote!(match self { #(#arms)* }),
            )
        }
        Shape::Value(_) | Shape::Broken => unreachable!("handled by the caller"),
    };
    let quiet = quiet();
    quote! {
        #[automatically_derived]
        #quiet
        impl #impl_generics __qemu_dsl::opts::QemuOpts for #ident #ty_generics #where_clause {
            const SCHEMA: &'static __qemu_dsl::opts::Schema = &__qemu_dsl::opts::Schema { #schema };

            fn write_opts(&self, writer: &mut __qemu_dsl::opts::OptWriter<'_>) {
                #write
            }
        }
    }
}

fn read_opts(item: &Item, shape: &Shape) -> TokenStream {
    let ident = &item.ident;
    let generics = bounded(item, &quote!(__qemu_dsl::opts::OptReadField), &quote!(__qemu_dsl::opts::ReadOpts));
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let body = match shape {
        Shape::Struct { head, fields } => {
            let head = match head {
                Head::None => quote!(),
                Head::Implied(name) => quote!(reader.take_head(#name, false)?;),
                Head::Virtio(name) => quote!(reader.take_head(#name, true)?;),
            };
            let fields = fields.iter().map(read_field);
            quote!(#head ::core::result::Result::Ok(Self { #(#fields),* }))
        }
        Shape::Enum { tag, variants } => {
            let names = variants.iter().map(|variant| &variant.name);
            let tag = option(tag.as_ref().map(|tag| quote!(#tag)));
            let arms = variants.iter().map(|Variant { ident, name, fields, style, .. }| {
                let name = proc_macro2::Literal::byte_string(name.as_bytes());
                let fields = fields.iter().map(read_field);
                let built = match style {
                    Style::Unit => quote!(Self::#ident),
                    Style::Named | Style::Newtype => quote!(Self::#ident { #(#fields),* }),
                };
                quote!(#name => ::core::result::Result::Ok(#built))
            });
            quote! {
                let found = reader.take_variant(#tag)?;
                match &found[..] {
                    #(#arms,)*
                    other => ::core::result::Result::Err(
                        __qemu_dsl::opts::OptReader::unknown_variant(other, &[#(#names),*])
                    ),
                }
            }
        }
        Shape::Value(_) | Shape::Broken => unreachable!("handled by the caller"),
    };
    let quiet = quiet();
    quote! {
        #[automatically_derived]
        #quiet
        impl #impl_generics __qemu_dsl::opts::ReadOpts for #ident #ty_generics #where_clause {
            fn read_from(
                reader: &mut __qemu_dsl::opts::OptReader<'_>,
            ) -> ::core::result::Result<Self, __qemu_dsl::opts::ReadError> {
                #body
            }
        }
    }
}

/// An enum of words: `OptValue` and `OptRead`.
fn value(item: &Item, variants: &[Variant]) -> TokenStream {
    let ident = &item.ident;
    let (impl_generics, ty_generics, where_clause) = item.generics.split_for_impl();
    let names: Vec<&String> = variants.iter().map(|variant| &variant.name).collect();
    let patterns: Vec<TokenStream> = variants.iter().map(pattern).collect();
    let bytes = names.iter().map(|name| proc_macro2::Literal::byte_string(name.as_bytes()));
    let idents = variants.iter().filter(|variant| variant.style == Style::Unit).map(|variant| &variant.ident);
    let expected = format!("`{}`", names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join("`, `"));
    let quiet = quiet();
    // Words without anything to escape are copied as they are.
    let plain = names.iter().all(|name| !name.contains([',', '\0']));
    let write = if plain { format_ident!("word") } else { format_ident!("text") };
    let read = if item.write_only {
        TokenStream::new()
    } else {
        quote! {
            #[automatically_derived]
            #quiet
            impl #impl_generics __qemu_dsl::opts::OptRead for #ident #ty_generics #where_clause {
                fn read_value(text: &[u8]) -> ::core::result::Result<Self, __qemu_dsl::opts::ValueError> {
                    match text {
                        #(#bytes => ::core::result::Result::Ok(Self::#idents),)*
                        _ => ::core::result::Result::Err(__qemu_dsl::opts::ValueError::expected(#expected)),
                    }
                }
            }
        }
    };
    quote! {
        #[automatically_derived]
        #quiet
        impl #impl_generics __qemu_dsl::opts::OptValue for #ident #ty_generics #where_clause {
            const TYPE: __qemu_dsl::opts::OptType = __qemu_dsl::opts::OptType::OneOf(&[#(#names),*]);

            fn write_value(&self, value: &mut __qemu_dsl::opts::ValueWriter<'_, '_>) {
                value.#write(match self { #(Self::#patterns => #names,)* });
            }
        }
        #read
    }
}

fn pattern(variant: &Variant) -> TokenStream {
    let ident = &variant.ident;
    let bindings = variant.fields.iter().map(|field| {
        let (member, binding) = (&field.member, &field.binding);
        quote!(#member: #binding)
    });
    quote!(#ident { #(#bindings),* })
}

fn write_field(field: &Field) -> TokenStream {
    let Field { binding, ty, .. } = field;
    match &field.kind {
        FieldKind::Skip => quote!(),
        FieldKind::Flatten { prefix } => quote_spanned!(ty.span()=> writer.flatten::<#ty>(#prefix, #binding);),
        FieldKind::Option { key, since, until, skip_if } => {
            let key = self::key(key, since.as_ref(), until.as_ref());
            // The field's own span, so that a type that is no option value is reported on the type.
            let write = quote_spanned!(ty.span()=>
                <#ty as __qemu_dsl::opts::OptField>::write_field(#binding, &const { #key }, writer);
            );
            match skip_if {
                None => write,
                Some(path) => quote_spanned!(path.span()=> if !#path(#binding) { #write }),
            }
        }
    }
}

fn read_field(field: &Field) -> TokenStream {
    let Field { member, ty, .. } = field;
    let read = match &field.kind {
        FieldKind::Skip => quote_spanned!(ty.span()=> <#ty as ::core::default::Default>::default()),
        FieldKind::Flatten { prefix } => quote_spanned!(ty.span()=> reader.flatten::<#ty>(#prefix)?),
        FieldKind::Option { key, skip_if: None, .. } => quote_spanned!(ty.span()=> reader.take::<#ty>(#key)?),
        FieldKind::Option { key, .. } => quote_spanned!(ty.span()=> reader.take_or_default::<#ty>(#key)?),
    };
    quote!(#member: #read)
}

fn field_schemas(fields: &[Field]) -> TokenStream {
    let schemas = fields.iter().filter_map(|Field { ty, doc, kind, .. }| {
        let (key, kind) = match kind {
            FieldKind::Skip => return None,
            FieldKind::Flatten { prefix } => (
                quote!(__qemu_dsl::opts::Key::new(#prefix)),
                quote_spanned!(ty.span()=> Flatten(<#ty as __qemu_dsl::opts::QemuOpts>::SCHEMA)),
            ),
            FieldKind::Option { key, since, until, .. } => (
                self::key(key, since.as_ref(), until.as_ref()),
                quote_spanned!(ty.span()=> Value(<#ty as __qemu_dsl::opts::OptField>::TYPE)),
            ),
        };
        Some(quote! {
            __qemu_dsl::opts::FieldSchema { key: #key, kind: __qemu_dsl::opts::FieldKind::#kind, doc: #doc }
        })
    });
    quote!(&[#(#schemas),*])
}

fn key(name: &str, since: Option<&Version>, until: Option<&Version>) -> TokenStream {
    let bound = |name: &str, version: Option<&Version>| {
        version.map(|Version { major, minor, literal }| {
            let method = format_ident!("{name}");
            quote!(.#method((#major, #minor), #literal))
        })
    };
    let (since, until) = (bound("since", since), bound("until", until));
    let text = format!(",{name}=");
    quote!(__qemu_dsl::opts::Key::with_text(#name, #text) #since #until)
}

fn option(value: Option<TokenStream>) -> TokenStream {
    if let Some(value) = value {
        quote!(::core::option::Option::Some(#value))
    } else {
        quote!(::core::option::Option::None)
    }
}

/// The item's generics, with a bound for every field type that mentions a type parameter.
fn bounded(item: &Item, of_field: &TokenStream, of_group: &TokenStream) -> Generics {
    let mut generics = item.generics.clone();
    let params: Vec<String> = item.generics.type_params().map(|param| param.ident.to_string()).collect();
    if params.is_empty() {
        return generics;
    }
    let fields: Vec<&Field> = match &item.shape {
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
        match &field.kind {
            FieldKind::Skip => {}
            FieldKind::Flatten { .. } => clause.predicates.push(syn::parse_quote!(#ty: #of_group)),
            FieldKind::Option { .. } => clause.predicates.push(syn::parse_quote!(#ty: #of_field)),
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
