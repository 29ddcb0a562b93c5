package target

import (
	"net/url"
	"strings"
)

// What a person can do when a step of the set-up failed for good. Each says which host was wanted.
const (
	again = "; then run it again: what was made is kept"

	daemonAdvice = "look at the Docker daemon (`docker info`) and its free disk" + again
	insideAdvice = "Debian's package mirror (deb.debian.org) must answer inside containers, whose way there " +
		"is the daemon's: try `docker run --rm " + baseImage + " apt-get update`" + again
	pullAdvice = "a registry must answer the daemon, or mmdebstrap must be installed, which makes the image " +
		"from Debian's package mirror: `make setup`, or `sudo apt-get install mmdebstrap`"
)

// mirrorAdvice is for what fetches Debian packages on this host.
func mirrorAdvice(getenv func(string) string) string {
	return "Debian's package mirror (deb.debian.org) must answer" + via(getenv, "http_proxy") +
		": try `curl -I http://deb.debian.org/debian/`" + again
}

// moduleAdvice is for what fetches Go modules.
func moduleAdvice(goproxy string, getenv func(string) string) string {
	places := strings.FieldsFunc(goproxy, func(r rune) bool { return r == ',' || r == '|' })
	for i, place := range places {
		places[i] = hostOf(place)
	}
	return "the Go module proxy (GOPROXY: " + strings.Join(places, ", ") + ") must answer" +
		via(getenv, "https_proxy", "http_proxy") + ": try `go list -m -versions golang.org/x/text`" + again
}

// via names the proxies that the environment sets.
func via(getenv func(string) string, names ...string) string {
	var set []string
	for _, name := range names {
		for _, name := range []string{name, strings.ToUpper(name)} {
			if value := getenv(name); value != "" {
				set = append(set, name+" is "+hostOf(value))
			}
		}
	}
	if len(set) == 0 {
		return ""
	}
	return " (" + strings.Join(set, ", ") + ")"
}

// hostOf is the host of a URL: the rest may hold a password. Words such as "direct" stay.
func hostOf(place string) string {
	parsed, err := url.Parse(place)
	switch {
	case err != nil:
		return "unreadable"
	case parsed.Host != "":
		return parsed.Host
	case strings.Contains(place, "@"):
		return "unreadable"
	}
	return place
}
