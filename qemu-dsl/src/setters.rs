//! Chainable setters for optional fields.

/// Defines `fn name(self, name: Type) -> Self` for fields of type `Option<Type>`. The arguments are of the fields' own types
/// or convert into them.
macro_rules! setters {
    ($(@[$($generics:tt)*])? $ty:ty { $($(#[$meta:meta])* $name:ident: $value:ty,)* }) => {
        impl$(<$($generics)*>)? $ty {
            $(
                $(#[$meta])*
                #[must_use]
                pub fn $name(mut self, $name: $value) -> Self {
                    self.$name = Some($name.into());
                    self
                }
            )*
        }
    };
}
pub(crate) use setters;
