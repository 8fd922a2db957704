package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// none is an empty environment, so that no test depends on the real one.
var none = Environment(func(string) (string, bool) { return "", false })

// loadText loads text as a file in a directory of its own.
func loadText(t *testing.T, text string, opts ...Option) (*Config, string) {
	t.Helper()
	dir := t.TempDir()
	c, err := Parse(filepath.Join(dir, "mahavishnu.yaml"), []byte(text), append([]Option{none}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

// TestUsualSectionsLoadUnchanged compares every setting of seed.yaml with a golden
// file, so that none can be dropped or reinterpreted unseen.
func TestUsualSectionsLoadUnchanged(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the golden file holds Unix paths")
	}
	c, err := Load("../docs/examples/seed.yaml", none, Set("node.name", "web"))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := c.Show(&got, ShowOptions{}); err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("../docs/examples")
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.ReplaceAll(got.String(), dir, "$DIR")
	const golden = "testdata/seed.shown.yaml"
	if *update {
		if err := os.WriteFile(golden, []byte(shown), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), shown); diff != "" {
		t.Errorf("seed.yaml (-want +got):\n%s", diff)
	}
	if gzip, level := c.EffectiveCompression(); gzip != CompressionGzip || level != 6 {
		t.Errorf("compression %s level %d, want gzip 6 as seed.yaml says", gzip, level)
	}
}

// TestEveryKeyIsRead changes nothing but asks that each key of
// seed.yaml is one the reader knows the place of.
func TestEveryKeyIsRead(t *testing.T) {
	text, err := os.ReadFile("../docs/examples/seed.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := newReporter("seed.yaml", string(text))
	r.decode(r.parseSyntax(text), Default())
	if len(r.errs) > 0 {
		t.Fatal(r.errs)
	}
	keys := 0
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if strings.Contains(line, ":") {
			keys += strings.Count(line, ": ") + strings.Count(line, ":\n")
		}
	}
	named := 0
	for key := range r.marks {
		if !strings.HasSuffix(key, "]") {
			named++
		}
	}
	if named != keys {
		t.Errorf("%d keys in the file, %d read", keys, named)
	}
}

func TestExamplesLoad(t *testing.T) {
	paths, err := filepath.Glob("../docs/examples/*.yaml")
	if err != nil || len(paths) < 3 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		if _, err := Load(path, none); err != nil {
			t.Errorf("%v", err)
		}
	}
	c, err := Load("../docs/examples/three-regions.yaml", Environment(func(key string) (string, bool) {
		return "eu-west-1", key == "MAHAVISHNU_NODE_REGION"
	}))
	if err != nil {
		t.Fatal(err)
	}
	if c.Node.Region != "eu-west-1" {
		t.Errorf("the environment did not move the node: it is in %s", c.Node.Region)
	}
}

// TestAnEmptyFileMeansTheDefaults also holds {} and no file to be the same.
func TestAnEmptyFileMeansTheDefaults(t *testing.T) {
	t.Chdir(t.TempDir())
	fromNothing, err := Load("", none)
	if err != nil {
		t.Fatal(err)
	}
	fromBraces, err := Parse("mahavishnu.yaml", []byte("{}"), none)
	if err != nil {
		t.Fatal(err)
	}
	if changed, _ := Differences(fromNothing, fromBraces); len(changed) > 0 {
		t.Errorf("no file and {} differ in %v", changed)
	}
	if fromNothing.File() != "" || fromBraces.File() != "mahavishnu.yaml" {
		t.Errorf("File() = %q and %q", fromNothing.File(), fromBraces.File())
	}
}

// TestShowLoadsAgain prints configurations and loads what was printed: nothing
// may be lost or changed.
func TestShowLoadsAgain(t *testing.T) {
	texts := map[string]string{
		"defaults": "{}",
		"much": `
regions: [us-east-1, eu-west-1]
node: {region: eu-west-1, grace: 90s, slots: 3, listen: ""}
nats: {url: "tls://a.example.com:4222,tls://b.example.com", lease: {duration: 1m}}
backup:
  schedules:
    monthly_archival: {day: last, timezone: Asia/Kolkata}
    odd name:
      cron: "*/5 * * * *"
  retention: {keep_within: 36h}
sources:
  a.b: {path: /srv, region: any, exclude: ["#x", "*", "!y", "- z", "a: b"], tags: ["1", "true", "~"]}
`,
	}
	texts["much"] = strings.ReplaceAll(texts["much"], "odd name", "often")
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			first, dir := loadText(t, text)
			var shown bytes.Buffer
			if err := first.Show(&shown, ShowOptions{}); err != nil {
				t.Fatal(err)
			}
			second, err := Parse(filepath.Join(dir, "mahavishnu.yaml"), shown.Bytes(), none)
			if err != nil {
				t.Fatalf("%v\n%s", err, shown.String())
			}
			if changed, _ := Differences(first, second); len(changed) > 0 {
				t.Errorf("printing changed %v:\n%s", changed, shown.String())
			}
			var asJSON bytes.Buffer
			if err := first.Show(&asJSON, ShowOptions{JSON: true}); err != nil {
				t.Fatal(err)
			}
			if !json.Valid(asJSON.Bytes()) {
				t.Errorf("not JSON:\n%s", asJSON.String())
			}
			third, err := Parse(filepath.Join(dir, "mahavishnu.yaml"), asJSON.Bytes(), none)
			if err != nil {
				t.Fatalf("the JSON form does not load: %v", err)
			}
			if changed, _ := Differences(first, third); len(changed) > 0 {
				t.Errorf("the JSON form changed %v", changed)
			}
		})
	}
}

func TestShownDefaultsAreAStart(t *testing.T) {
	var shown bytes.Buffer
	if err := Default().Show(&shown, ShowOptions{}); err != nil {
		t.Fatal(err)
	}
	fromShown, dir := loadText(t, shown.String())
	fromBraces, err := Parse(filepath.Join(dir, "mahavishnu.yaml"), []byte("{}"), none)
	if err != nil {
		t.Fatal(err)
	}
	if changed, _ := Differences(fromShown, fromBraces); len(changed) > 0 {
		t.Errorf("the printed defaults are not the defaults: %v", changed)
	}
}

func TestAnchorsMergeOnce(t *testing.T) {
	c, _ := loadText(t, `
sources:
  home: &usual
    path: /home
    exclude: &junk ["*.tmp", ".cache/"]
    one_file_system: true
  srv:
    <<: *usual
    path: /srv
  opt:
    path: /opt
    exclude: *junk
`)
	want := map[string]Source{
		"home": {Path: "/home", Region: "local", Exclude: []string{"*.tmp", ".cache/"}, OneFileSystem: true},
		"srv":  {Path: "/srv", Region: "local", Exclude: []string{"*.tmp", ".cache/"}, OneFileSystem: true},
		"opt":  {Path: "/opt", Region: "local", Exclude: []string{"*.tmp", ".cache/"}},
	}
	if runtime.GOOS == "windows" {
		t.Skip("the paths are made absolute with a drive letter")
	}
	if diff := cmp.Diff(want, c.Sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

// TestAliasesDoNotBlowUp is the billion laughs: each list holds the one before
// it ten times.
func TestAliasesDoNotBlowUp(t *testing.T) {
	var text strings.Builder
	text.WriteString("sources:\n  s0: &s0 {path: /x}\n")
	for i := 1; i < 9; i++ {
		text.WriteString("  s" + string(rune('0'+i)) + ": &s" + string(rune('0'+i)) + "\n    <<: [")
		for j := range 10 {
			if j > 0 {
				text.WriteString(", ")
			}
			text.WriteString("*s" + string(rune('0'+i-1)))
		}
		text.WriteString("]\n")
	}
	_, err := Parse("bomb.yaml", []byte(text.String()), none)
	if err == nil || !strings.Contains(err.Error(), "blow the file up") {
		t.Fatalf("Parse = %v, want a refusal", err)
	}
}
