//! C libraries that are loaded when they are needed, so that only one subject is missing where a library is.

/// Declares a struct of C functions and how to find them in a library.
macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) -> $result:ty;)*) => {
        /// The library's functions; valid while it is loaded.
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Functions {
            /// # Safety
            /// The functions must have these types in `library`, which must not be unloaded before the
            /// last call.
            unsafe fn load(library: &libloading::Library) -> anyhow::Result<Self> {
                // SAFETY: as the caller promises.
                unsafe { Ok(Self { $($name: *library.get(concat!(stringify!($name), "\0").as_bytes())?,)* }) }
            }
        }
    };
}

pub(crate) use functions;

/// The version of an installed Debian package; the name of its library where there is no such thing.
pub(crate) fn version(package: &str, library: &str) -> String {
    let query = std::process::Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
    let version = query.ok().filter(|output| output.status.success() && !output.stdout.is_empty());
    version.map_or_else(|| library.to_owned(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}
