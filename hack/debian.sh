# Functions for the scripts that fetch packages from Debian; to be sourced.

export LC_ALL=C DEBIAN_FRONTEND=noninteractive

# The mirror of this machine's apt, which has Debian's other suites, too.
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' | sort -u; }

# Installs those of these packages that are missing, and makes sure that apt knows a mirror.
need() { # PACKAGE...
  local missing=() package
  for package; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || [ -z "$(mirror)" ] || return 0
  apt-get -qq update
  [ ${#missing[@]} -eq 0 ] || apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# Sets up a separate apt in DIRECTORY, for binary (deb) or source (deb-src) packages of a SUITE. It assumes that no
# package is installed, so it fetches all dependencies. The machine's sources stay as they are. Use it with
# APT_CONFIG=DIRECTORY/apt.conf.
own_apt() { # DIRECTORY TYPE SUITE
  rm -rf "$1"
  mkdir -p "$1"/{lists/partial,cache/archives/partial,parts}
  cat >"$1/parts/$3.sources" <<END
Types: $2
URIs: $(mirror)
Suites: $3
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
  # sid's release file is sometimes past its expiry date.
  cat >"$1/apt.conf" <<END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$1/parts";
Dir::State::lists "$1/lists";
Dir::State::status "/dev/null";
Dir::Cache "$1/cache";
Acquire::Check-Valid-Until "false";
Acquire::IndexTargets::$2::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
END
}
