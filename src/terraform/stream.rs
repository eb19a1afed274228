//! Lists and objects of a JSON document that are read element by element, so that none is in memory as a whole.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A list, element by element; null is an empty one.
pub(super) struct Each<'a, T>(pub(super) &'a mut dyn FnMut(T) -> Result<(), serde_json::Error>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Each<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Each<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(item) = seq.next_element::<T>()? {
            (self.0)(item).map_err(|_| A::Error::custom("a value of another form"))?;
        }
        Ok(())
    }
}

/// Receives a name and what stands behind it.
pub(super) type Named<'a, T> = &'a mut dyn FnMut(&str, T) -> Result<(), serde_json::Error>;

/// An object, entry by entry; null is an empty one.
pub(super) struct EachNamed<'a, T>(pub(super) Named<'a, T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for EachNamed<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for EachNamed<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value()?;
            (self.0)(&name, value).map_err(|_| A::Error::custom("a value of another form"))?;
        }
        Ok(())
    }
}

/// The entries of an object that are read one level down; others are passed over. It makes a visitor of `$key => $body`.
macro_rules! object {
    ($name:ident, |$self:ident, $map:ident| $($key:literal => $body:expr),+ $(,)?) => {
        impl<'de> DeserializeSeed<'de> for $name<'_> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_any(self)
            }
        }

        impl<'de> Visitor<'de> for $name<'_> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
                Ok(())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut $map: A) -> Result<(), A::Error> {
                let $self = self;
                while let Some(key) = $map.next_key::<String>()? {
                    match key.as_str() {
                        $($key => $body,)+
                        _ => drop($map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(())
            }
        }
    };
}

pub(super) use object;
