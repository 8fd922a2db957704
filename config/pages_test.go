package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a configuration or a part of one in a page.
var block = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestPagesLoad loads each example in the pages that begins as a file does, with the
// regions: what people copy must be what a start accepts.
func TestPagesLoad(t *testing.T) {
	paths, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, tried := t.TempDir(), 0
	key := "key \"mahavishnu\" {\n\talgorithm hmac-sha256;\n\tsecret \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\";\n};\n"
	if err := os.WriteFile(filepath.Join(dir, "orders.key"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatchIndex(string(page), -1) {
			text := string(page[m[2]:m[3]])
			if !strings.HasPrefix(text, "regions:") {
				continue
			}
			tried++
			if _, err := Parse(filepath.Join(dir, "mahavishnu.yaml"), []byte(text), none); err != nil {
				t.Errorf("%s, line %d: %v", path, 1+strings.Count(string(page[:m[2]]), "\n"), err)
			}
		}
	}
	if tried < 4 {
		t.Errorf("%d examples were found", tried)
	}
}
