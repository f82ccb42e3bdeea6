//! Closed sets of named values. Each value has one name, which is the same in the API, the database and the logs.

/// Defines a fieldless enum whose values have names: `ALL`, `name`, `from_name`, `Display` and serde all follow from one list.
macro_rules! named_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name {
            $($(#[$variant_meta])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of declaration.
            $vis const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in the API and the database.
            $vis const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value with this name; case matters.
            $vis fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use named_enum;

#[cfg(test)]
mod tests {
    named_enum! {
        /// Two values.
        #[derive(PartialOrd, Ord, Default)]
        enum Size {
            #[default]
            Small = "small",
            Large = "large",
        }
    }

    #[test]
    fn name_from_name_display_and_serde_agree() {
        assert_eq!(Size::ALL, [Size::Small, Size::Large]);
        assert!(Size::default() < Size::Large);
        for size in Size::ALL {
            assert_eq!(Size::from_name(size.name()), Some(*size));
            let json = serde_json::to_string(size).unwrap();
            assert_eq!(json, format!("\"{size}\""));
            assert_eq!(serde_json::from_str::<Size>(&json).unwrap(), *size);
        }
        assert_eq!(Size::from_name("Small"), None);
        assert!(serde_json::from_str::<Size>("\"huge\"").is_err());
    }
}
