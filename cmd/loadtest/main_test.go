package main

import (
	"strings"
	"testing"

	"mahavishnu/loadtest/corpus"
)

func TestSizesAndFiles(t *testing.T) {
	for _, c := range []struct {
		options tree
		want    corpus.Spec
	}{
		{tree{size: "10GB", kind: "mixed"}, corpus.Spec{Kind: corpus.Mixed, Files: 200, FileSize: 50_000_000}},
		{tree{size: "1GB", kind: "small", files: 1_000_000}, corpus.Spec{Kind: corpus.Small, Files: 1_000_000, FileSize: 1000}},
		{tree{size: "1MB", kind: "mixed"}, corpus.Spec{Kind: corpus.Mixed, Files: 1, FileSize: 1_000_000}},
	} {
		if got, err := c.options.spec(); err != nil || got != c.want {
			t.Errorf("%+v: %+v, %v; want %+v", c.options, got, err, c.want)
		}
	}
}

func TestBadUsageSaysWhat(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"backup --size lots", `"lots"`},
		{"backup --corpus fractal --size 1MB", `"fractal"`},
		{"backpu", "backpu"},
	} {
		var out, errs strings.Builder
		if code := execute(t.Context(), strings.Fields(c.args), &out, &errs); code != 1 || !strings.Contains(errs.String(), c.says) {
			t.Errorf("loadtest %s: exit code %d, %q; want 1 and %s", c.args, code, errs.String(), c.says)
		}
	}
}
