package config

import (
	"regexp"
	"strings"
	"unicode"
)

var (
	// namedValue finds the names on a line that have a value behind them.
	namedValue = regexp.MustCompile(`([A-Za-z0-9_-]+)["']?\s*:\s*`)
	secretName = regexp.MustCompile(`(?i)passw|passphrase|secret|token|credential|(api|access|account)_?key|^a[a-z]{1,8}_?k(ey|ye)$|^sas$|^sig|seed`)
	// urlPassword finds who logs in with which password, also where a URL is misspelt,
	// or stands escaped within another one. A password may have slashes of both kinds in it.
	urlPassword = regexp.MustCompile(`(?i)([/\\]|%(?:25)*2F)[^/\\\s@"'&]*?(?::|%(?:25)*3A)[^\s"'&]*(?:@|%(?:25)*40)`)
	// barePassword finds the same where the slashes of the URL, or its beginning, are missing.
	barePassword = regexp.MustCompile(`(?i)(^|[\s"'=,])[^/\\\s@"'&=,*]+?(?::|%(?:25)*3A)[^/\\\s"'&*][^\s"'&*]*(?:@|%(?:25)*40)`)
	// portPassword finds what stands in a port's place and is none: a login whose @ is missing.
	portPassword = regexp.MustCompile(`(//[^/\s"'@:\[]+:)[0-9]*[^0-9/\s"'@,?&*][^/\s"'@,?&*]*`)
	// urlFragment finds what stands behind the "#" of a URL, where nothing belongs.
	urlFragment = regexp.MustCompile(`(://[^\s"'#]*#)[^\s"']+`)
	// urlSecret finds what must not stand behind the "?" of a URL and yet may.
	urlSecret = regexp.MustCompile(`(?i)([?&](?:[a-z_-]*(?:secret|token|signature|credential|password|accesskey|access_key|account_key)[a-z_-]*|sig|sas)=)[^&\s"']+`)
)

// soundsSecret reports whether a name, misspelt perhaps, is a secret's. A
// secret's file is none.
func soundsSecret(name string) bool {
	if strings.HasSuffix(strings.ToLower(name), "_file") {
		return false
	}
	return secretName.MatchString(name) || nearest(name, []string{"password", "pwd", "token", "secret"}) != ""
}

// excerpt returns a line for showing: without the secrets it may hold, and
// without characters that a terminal would obey.
func (r *reporter) excerpt(line int) string {
	if line < 1 || line > len(r.lines) {
		return ""
	}
	text := strings.TrimRight(strings.ToValidUTF8(r.lines[line-1], "\uFFFD"), "\r \t")
	if r.continuesSecret(line) {
		text = text[:indentOf(text)] + masked
	}
	return strings.Map(func(c rune) rune {
		if c != '\t' && !unicode.IsPrint(c) {
			return unicode.ReplacementChar
		}
		return c
	}, maskLine(text))
}

// maskLine hides what follows the first name of a secret on a line, and who logs in
// with which password in URLs.
func maskLine(text string) string {
	text = maskURL(text)
	for _, m := range namedValue.FindAllStringSubmatchIndex(text, -1) {
		if soundsSecret(text[m[2]:m[3]]) && m[1] < len(text) {
			return text[:m[1]] + masked
		}
	}
	return text
}

// maskURL hides who logs in with which password, and secrets behind the "?" and the "#".
func maskURL(text string) string {
	text = urlPassword.ReplaceAllString(text, "${1}"+masked+"@")
	text = barePassword.ReplaceAllString(text, "${1}"+masked+"@")
	text = portPassword.ReplaceAllString(text, "${1}"+masked)
	text = urlFragment.ReplaceAllString(text, "${1}"+masked)
	return urlSecret.ReplaceAllString(text, "${1}"+masked)
}

// continuesSecret reports whether a line is part of a secret that began on an
// earlier, less indented one, as block scalars and folded text do.
func (r *reporter) continuesSecret(line int) bool {
	own := indentOf(r.lines[line-1])
	for i := line - 2; i >= 0; i-- {
		above := r.lines[i]
		if strings.TrimSpace(above) == "" || indentOf(above) >= own {
			continue
		}
		names := namedValue.FindAllStringSubmatch(above, -1)
		return len(names) > 0 && soundsSecret(names[len(names)-1][1])
	}
	return false
}

func indentOf(s string) int { return len(s) - len(strings.TrimLeft(s, " \t")) }
