//! Code as text, with the item's own tokens in between.
//!
//! A compiler reads text faster than a macro makes tokens, one call each, of it. Tokens of the item stay what they are where a message
//! can point at them.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

#[derive(Default)]
pub(super) struct Out {
    done: Vec<TokenStream>,
    text: String,
}

impl Out {
    /// Text of whole tokens, with all brackets closed.
    pub(super) fn text(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push(' ');
    }

    /// A literal with this text.
    pub(super) fn literal(&mut self, text: &str) {
        use std::fmt::Write as _;
        let _ = write!(self.text, "{text:?} ");
    }

    /// Tokens of the item.
    pub(super) fn tokens(&mut self, tokens: impl quote::ToTokens) {
        let tokens = tokens.into_token_stream();
        if !tokens.is_empty() {
            self.flush();
            self.done.push(tokens.into());
        }
    }

    /// What `fill` writes, in brackets.
    pub(super) fn group(&mut self, delimiter: Delimiter, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        if inner.done.is_empty() {
            let (open, close) = match delimiter {
                Delimiter::Parenthesis => ("(", ")"),
                Delimiter::Brace => ("{", "}"),
                Delimiter::Bracket => ("[", "]"),
                Delimiter::None => ("", ""),
            };
            self.text.extend([open, &inner.text, close]);
            return;
        }
        self.flush();
        self.done.push(TokenTree::from(Group::new(delimiter, inner.finish())).into());
    }

    fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let tokens = self.text.parse().unwrap_or_else(|error| {
            let message = format!("the derive wrote what is no Rust ({error}): {}", self.text);
            TokenStream::from(syn::Error::new(proc_macro2::Span::call_site(), message).into_compile_error())
        });
        self.done.push(tokens);
        self.text.clear();
    }

    pub(super) fn finish(mut self) -> TokenStream {
        self.flush();
        match self.done.pop() {
            Some(only) if self.done.is_empty() => only,
            last => self.done.into_iter().chain(last).collect(),
        }
    }
}
