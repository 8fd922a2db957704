package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// wellFormed counts the elements of a document that any tool must be able to read.
func wellFormed(t *testing.T, text []byte) map[string]int {
	t.Helper()
	elements := map[string]int{}
	decoder := xml.NewDecoder(strings.NewReader(string(text)))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return elements
		}
		if err != nil {
			t.Fatalf("it is not well-formed: %v\n%s", err, text)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
			for _, a := range start.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") || strings.Contains(a.Value, "ZgotmplZ") {
					t.Errorf("<%s %s=%q>", start.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
}

var chart = Chart{
	Title: "wrong & right", X: "threshold", Y: "a day", Counts: true, Mark: 8, MarkName: "default",
	Lines: []ChartLine{{Name: "<one>", Points: []Point{{1, 999}, {8, 0}}}, {Name: "none"}},
}

func TestADocumentIsShownThreeWays(t *testing.T) {
	d := Document{
		Title: "A measurement", Lead: "It took a while.",
		Tables: []Table{{Title: "times", Text: 1, Head: []string{"what", "p50", "aim"}, Rows: [][]string{{"one | two", "1.00 s", "MISSED"}, {"three"}}}},
		Charts: []Chart{chart}, Facts: [][2]string{{"machine", "<this>"}}, Failures: []string{"run 3 hung"},
	}
	for _, text := range []string{d.Text(), d.Markdown()} {
		for _, want := range []string{"It took a while.", "1.00 s", "run 3 hung"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
	}
	if !strings.Contains(d.Markdown(), `one \| two`) {
		t.Errorf("a cell leaves its column:\n%s", d.Markdown())
	}
	page, err := d.HTML()
	if err != nil {
		t.Fatal(err)
	}
	if found := wellFormed(t, page); found["svg"] != 1 || found["table"] != 1 || found["script"] != 0 {
		t.Errorf("elements: %v", found)
	}
	if !strings.Contains(string(page), `<td class="missed n">MISSED</td>`) {
		t.Errorf("a miss does not stand out:\n%s", page)
	}
}

func TestAPictureNeedsNothingElse(t *testing.T) {
	picture, err := SVG(chart, Chart{Title: "empty"}, Chart{Title: "small", Lines: []ChartLine{{Name: "x", Points: []Point{{0.001, 0.002}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if found := wellFormed(t, picture); found["g"] != 3 || found["polyline"] != 3 || found["circle"] != 3 || found["image"] != 0 {
		t.Errorf("elements: %v", found)
	}
	for _, want := range []string{">1000<", ">0<", ">default<", "&lt;one&gt;"} { // 999 is just below the tick of 1000
		if !strings.Contains(string(picture), want) {
			t.Errorf("%q is not in the picture", want)
		}
	}
}
