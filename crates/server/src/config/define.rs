//! The macro by which a key is defined once.

/// One key of the configuration, as the reference page and the checks see it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in `storage.yml`, dots standing for nesting.
    pub name: &'static str,
    /// Its value when nothing is said, as one would write it.
    pub default: &'static str,
    /// What its values look like.
    pub form: &'static str,
    /// What it is for.
    pub text: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Whether a running server takes a new value when it is told to read its configuration again.
    pub live: bool,
}

impl Key {
    /// The environment variable that overrides it.
    pub fn variable(&self) -> String {
        format!("AEROSTORE_{}", self.name.to_uppercase().replace('.', "_"))
    }

    /// The section it stands in, empty for the top level.
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }
}

/// Defines the configuration's struct, one struct per section, and the table of all keys.
/// What is marked `#[live = true]` takes effect in a running server ([`Key::live`]).
/// `key: Type = "default", check;` where `check` is a `fn(&Type) -> Result<(), String>`. What stands `besides` has no keys
/// of its own here, but what they begin with, and is filled in by [`super::load`].
macro_rules! settings {
    (
        $(#[doc = $root_text:literal])+ $root:ident {
            $($(#[doc = $top_text:literal])+ $(#[live = $top_live:literal])? $top:ident: $top_type:ty = $top_default:literal $(, $top_check:path)?;)*
        }
        $(besides {
            $($(#[doc = $besides_text:literal])+ $(#[live = $besides_live:literal])? $besides:ident: $besides_type:ty = $besides_key:literal;)+
        })?
        $($(#[doc = $section_text:literal])+ $section:ident: $section_type:ident {
            $($(#[doc = $text:literal])+ $(#[live = $live:literal])? $key:ident: $type:ty = $default:literal $(, $check:expr)?;)*
        })*
    ) => {
        $(#[doc = $root_text])+
        #[derive(Debug, Clone, PartialEq)]
        #[allow(unreachable_pub, reason = "of a table inside of the crate")]
        pub struct $root {
            $($(#[doc = $top_text])+ pub $top: $top_type,)*
            $($(#[doc = $section_text])+ pub $section: $section_type,)*
            $($($(#[doc = $besides_text])+ pub $besides: $besides_type,)+)?
        }

        $(
            $(#[doc = $section_text])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $section_type {
                $($(#[doc = $text])+ pub $key: $type,)*
            }
        )*

        /// All keys, in the order of the reference page.
        #[allow(unreachable_pub, reason = "of a table inside of the crate")]
        pub static KEYS: &[$crate::config::Key] = &[
            $($crate::config::Key {
                name: stringify!($top),
                default: $top_default,
                form: <$top_type as $crate::config::Setting>::FORM,
                text: concat!($($top_text),+),
                secret: <$top_type as $crate::config::Setting>::SECRET,
                live: false $(|| $top_live)?,
            },)*
            $($($crate::config::Key {
                name: concat!(stringify!($section), ".", stringify!($key)),
                default: $default,
                form: <$type as $crate::config::Setting>::FORM,
                text: concat!($($text),+),
                secret: <$type as $crate::config::Setting>::SECRET,
                live: false $(|| $live)?,
            },)*)*
        ];

        /// What each section is for, by its name.
        #[allow(dead_code, reason = "a table without sections has no use for it")]
        pub(super) static SECTIONS: &[(&str, &str)] =
            &[$((stringify!($section), concat!($($section_text),+))),*];

        impl $root {
            /// Reads every key, noting each mistake; `None` where there was one.
            pub(super) fn resolve(raw: &$crate::config::raw::RawConfig, errors: &mut $crate::config::ConfigErrors) -> Option<Self> {
                $(
                    let $top = raw.read::<$top_type>(stringify!($top), $top_default, errors);
                    $(let $top = raw.checked(stringify!($top), $top, $top_check, errors);)?
                )*
                $(let $section = {
                    $(
                        let $key = raw.read::<$type>(concat!(stringify!($section), ".", stringify!($key)), $default, errors);
                        $(let $key = raw.checked(concat!(stringify!($section), ".", stringify!($key)), $key, $check, errors);)?
                    )*
                    (|| Some($section_type { $($key: $key?,)* }))()
                };)*
                Some(Self { $($top: $top?,)* $($section: $section?,)* $($($besides: Default::default(),)+)? })
            }

            /// This configuration with another one's values of all keys that are live. Gives, besides, the names of the keys whose
            /// values differ: those that were taken over, and those that were not.
            #[allow(dead_code, reason = "a table without live keys has no use for it")]
            pub(crate) fn adopt(&self, other: &Self) -> (Self, Vec<&'static str>, Vec<&'static str>) {
                let (mut adopted, mut taken, mut left) = (self.clone(), Vec::new(), Vec::new());
                $(if self.$top != other.$top {
                    if false $(|| $top_live)? {
                        adopted.$top = other.$top.clone();
                        taken.push(stringify!($top));
                    } else {
                        left.push(stringify!($top));
                    }
                })*
                $($(if self.$section.$key != other.$section.$key {
                    let name = concat!(stringify!($section), ".", stringify!($key));
                    if false $(|| $live)? {
                        adopted.$section.$key = other.$section.$key.clone();
                        taken.push(name);
                    } else {
                        left.push(name);
                    }
                })*)*
                $($(if self.$besides != other.$besides {
                    if false $(|| $besides_live)? {
                        adopted.$besides = other.$besides.clone();
                        taken.push($besides_key);
                    } else {
                        left.push($besides_key);
                    }
                })+)?
                (adopted, taken, left)
            }

            /// Every key with its value in force, as one would write it.
            pub(super) fn shown(&self) -> Vec<(&'static str, String)> {
                use $crate::config::Setting as _;
                vec![
                    $((stringify!($top), self.$top.show()),)*
                    $($((concat!(stringify!($section), ".", stringify!($key)), self.$section.$key.show()),)*)*
                ]
            }
        }
    };
}

pub(super) use settings;
