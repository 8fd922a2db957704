package location

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/fault"
)

var known = []string{"endpoint", "region", "path_style", "class"}

const where = "give it by file"

func parse(t *testing.T, text string) (Params, error) {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(u, known, where)
}

func TestParse(t *testing.T) {
	got, err := parse(t, "s3://b/p?region=eu-west-1&endpoint=https%3A%2F%2Fs3.example.com%3A9000")
	if err != nil {
		t.Fatal(err)
	}
	want := Params{"region": "eu-west-1", "endpoint": "https://s3.example.com:9000"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

func TestWhatIsRefused(t *testing.T) {
	for text, wants := range map[string][2]string{
		"s3://b?regoin=x":                    {`"regoin" is not known`, "did you mean region?"},
		"s3://b?path-style=true":             {`"path-style" is not known`, "did you mean path_style?"},
		"s3://b?zzzzzz=1":                    {`"zzzzzz" is not known`, "known are endpoint"},
		"s3://b?region=a&region=b":           {"region is given 2 times", "once"},
		"s3://b?region=":                     {"region is empty", "leave it out"},
		"s3://b#x":                           {"after #", "%23"},
		"s3://user@b":                        {"a user or password", where},
		"s3://user:pw@b?region=x":            {"a user or password", where},
		"s3://b?secret_key=k":                {"secret into the URL", where},
		"s3://b?AccessKey=k":                 {"secret into the URL", where},
		"s3://b?session-token=k":             {"secret into the URL", where},
		"az://b?sas=k":                       {"secret into the URL", where},
		"s3://b?region=%zz":                  {"cannot be read", "special characters"},
		"s3://b?" + strings.Repeat("x", 5e3): {"is not known", "known are"},
	} {
		_, err := parse(t, text)
		if err == nil {
			t.Errorf("%.40s is accepted", text)
			continue
		}
		if !strings.Contains(err.Error(), wants[0]) || !strings.Contains(strings.Join(fault.Hints(err), "\n"), wants[1]) {
			t.Errorf("%.40s: %v, hints %q; want %q and %q", text, err, fault.Hints(err), wants[0], wants[1])
		}
		if len(err.Error()) > 300 {
			t.Errorf("%.40s: the error has %d bytes", text, len(err.Error()))
		}
	}
}

// What is refused for being a secret is not shown in the refusal.
func TestSecretsAreNotRepeated(t *testing.T) {
	for _, text := range []string{"s3://b?secret_key=hunter2", "s3://me:hunter2@b", "s3://b?regoin=1&token=hunter2", "s3://b?x=hunter2", "s3:///me:hunter2@b/x?y=z"} {
		_, err := parse(t, text)
		if err == nil || strings.Contains(err.Error()+strings.Join(fault.Hints(err), ""), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// However a URL is misspelt, a secret in it is not shown, and what names the place is.
func TestMasked(t *testing.T) {
	for text, want := range map[string]string{
		"s3//rootkey:hunter2pass@plain/x": "s3//********@plain/x",
		"s3:/key:hunter2/pass@plain/x":    "s3:/********@plain/x",
		"s3:key:hunter2@plain/x":          "********@plain/x",
		"key:hunter2@plain/x":             "********@plain/x",
		"s3:///key:hunter2@plain/x":       "s3:///********@plain/x",
		"s3;//key:hunter2@plain":          "s3;//********@plain",
		"s3://key:hunter2@a@plain":        "s3://********@plain",
		"azblob//c?sig=hunter2":           "azblob//c",
		"s3://plain/x?secret_key=hunter2": "s3://plain/x",
		"s3://plain/me@home":              "s3://plain/me@home",
		"/mnt/backups":                    "/mnt/backups",
		"":                                "",
	} {
		if got := Masked(text); got != want {
			t.Errorf("Masked(%q) = %q, want %q", text, got, want)
		}
		if HasLogin(text) != strings.Contains(want, "*") {
			t.Errorf("HasLogin(%q) = %v", text, HasLogin(text))
		}
	}
}

func TestBool(t *testing.T) {
	p := Params{"yes": "true", "no": "false", "odd": "maybe"}
	for name, want := range map[string][2]bool{"yes": {true, true}, "no": {false, true}, "none": {false, false}} {
		if value, ok, err := p.Bool(name); err != nil || value != want[0] || ok != want[1] {
			t.Errorf("Bool(%s) = %v, %v, %v", name, value, ok, err)
		}
	}
	var e *fault.Error
	if _, _, err := p.Bool("odd"); !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("Bool(odd): %v", err)
	}
}

func TestOneOf(t *testing.T) {
	choices := []string{"governance", "compliance"}
	for _, good := range append(choices, "") {
		if err := OneOf("lock", good, choices); err != nil {
			t.Error(err)
		}
	}
	err := OneOf("lock", "complience", choices)
	if hints := fault.Hints(err); len(hints) != 1 || !strings.HasPrefix(hints[0], "did you mean compliance?") {
		t.Errorf("%v, hints %q", err, hints)
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"endpont": "endpoint", "Region": "region", "clas": "class", "": "", "completely": "", "end": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// Whatever is behind the question mark, its values are not shown, and what is
// accepted is known and not empty.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"region=eu", "regoin=x", "secret_key=hushhush", "region=%zz", "a=b&a=c", ";", "region", "sas=hushhush", "%73ecret=hushhush"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		p, err := Parse(&url.URL{Scheme: "s3", Host: "b", RawQuery: query}, known, where)
		if err != nil {
			if strings.Contains(query, "=hushhush") && strings.Contains(err.Error(), "hushhush") && strings.Count(query, "hushhush") == 1 {
				t.Errorf("%q: the error shows a value: %v", query, err)
			}
			return
		}
		for name, value := range p {
			if value == "" || !slices.Contains(known, name) {
				t.Errorf("%q is accepted as %q", query, p)
			}
		}
	})
}
