package bus

import "testing"

func TestRegionOfAServer(t *testing.T) {
	t.Parallel()
	tags := map[string]string{"alpha": "us-east-1", "n-7": "us-east-1", "eu-2": "us-east-1", "odd": "moon"}
	known := []string{"US-East-1", "eu"}
	for _, c := range []struct {
		name  string
		known []string
		want  string
	}{
		{"alpha", known, "US-East-1"}, // servers write tags in lower case
		{"alpha", nil, "us-east-1"},
		{"eu-2", known, "US-East-1"}, // the tag counts, not the name
		{"eu-1", known, "eu"},        // no tag
		{"eu", known, "eu"},
		{"US-East-1-3", known, "US-East-1"},
		{"n-1", known, ""}, // no tag, and the name is no region's
		{"odd", known, ""}, // the tag is no region's, nor is the name
		{"n-1", nil, "n"},  // whoever knows no regions takes the name's word
		{"-1", nil, "-1"},  // no region before the dash
		{"n-7", known, "US-East-1"},
	} {
		if got := regionOf(tags, c.known)(c.name); got != c.want {
			t.Errorf("%s with %v: %q, want %q", c.name, c.known, got, c.want)
		}
	}
}

func FuzzServerRegion(f *testing.F) {
	f.Add([]byte(`{"server":{"name":"n1","tags":["x","region:eu"]},"data":{}}`))
	f.Add([]byte(`{"server":{"name":"n1"}}`))
	f.Add([]byte(`{"error":{"code":503}}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, answer []byte) {
		name, region, err := serverRegion(answer)
		if err != nil && (name != "" || region != "") {
			t.Errorf("an answer that cannot be read is from %q in %q", name, region)
		}
	})
}
