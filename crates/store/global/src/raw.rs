//! Entities that carry what this version does not know.
//!
//! A snapshot may come from a newer version, or from one with more features. Fields without a
//! name here are kept as the text they were written in, so that a standby that recovers, patches
//! and writes a snapshot again changes nothing that it does not mean to change. Serde's `flatten`
//! would buffer and re-format them; the `entity!` macro writes plain visitors instead.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde_json::value::RawValue;

/// Fields that this version does not know, in their order and their exact text.
#[derive(Clone, Default)]
pub struct Extra(Vec<(Box<str>, Box<RawValue>)>);

impl Extra {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Name and JSON text of every field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.get()))
    }

    /// The JSON text of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(key, text)| (key == name).then_some(text))
    }

    /// Adds a field behind those that are there.
    pub fn push(&mut self, name: impl Into<Box<str>>, value: Box<RawValue>) {
        self.0.push((name.into(), value));
    }

    pub(crate) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        self.0.push((name.into(), map.next_value()?));
        Ok(())
    }

    pub(crate) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        Ok(())
    }
}

impl PartialEq for Extra {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A field's name, borrowed from the input where it has no escapes.
pub(crate) struct Key<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Defines an entity: its required fields, the optional ones (left out when they have their
/// default), and the [`Extra`] ones.
macro_rules! entity {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            required { $($(#[$rmeta:meta])* $req:ident : $rty:ty = $rkey:literal,)* }
            optional { $($(#[$ometa:meta])* $opt:ident : $oty:ty = $okey:literal,)* }
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$rmeta])* pub $req: $rty,)*
            $($(#[$ometa])* pub $opt: $oty,)*
            /// Fields of other versions, carried as they are.
            pub extra: $crate::raw::Extra,
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                $(map.serialize_entry($rkey, &self.$req)?;)*
                $(if self.$opt != <$oty as Default>::default() {
                    map.serialize_entry($okey, &self.$opt)?;
                })*
                self.extra.write(&mut map)?;
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct EntityVisitor;
                impl<'de> serde::de::Visitor<'de> for EntityVisitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("a ", stringify!($name)))
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$name, A::Error> {
                        use serde::de::Error;
                        $(let mut $req: Option<$rty> = None;)*
                        $(let mut $opt: Option<$oty> = None;)*
                        let mut extra = $crate::raw::Extra::default();
                        while let Some(key) = map.next_key::<$crate::raw::Key<'de>>()? {
                            match &*key.0 {
                                $($rkey => {
                                    if $req.replace(map.next_value()?).is_some() {
                                        return Err(A::Error::duplicate_field($rkey));
                                    }
                                })*
                                $($okey => {
                                    if $opt.replace(map.next_value()?).is_some() {
                                        return Err(A::Error::duplicate_field($okey));
                                    }
                                })*
                                other => extra.read(other, &mut map)?,
                            }
                        }
                        Ok($name {
                            $($req: $req.ok_or_else(|| A::Error::missing_field($rkey))?,)*
                            $($opt: $opt.unwrap_or_default(),)*
                            extra,
                        })
                    }
                }
                deserializer.deserialize_map(EntityVisitor)
            }
        }
    };
}
pub(crate) use entity;
