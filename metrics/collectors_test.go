package metrics

import (
	"reflect"
	"regexp"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
)

// collectors finds every metric among the fields, so that one without a
// method that moves it cannot hide.
func (m *Metrics) collectors() []prometheus.Collector {
	var all []prometheus.Collector
	var visit func(v reflect.Value)
	visit = func(v reflect.Value) {
		for i := range v.NumField() {
			f := v.Field(i)
			if f.Kind() == reflect.Struct {
				visit(f)
				continue
			}
			f = reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
			if c, ok := f.Interface().(prometheus.Collector); ok {
				if _, registry := c.(*prometheus.Registry); !registry {
					all = append(all, c)
				}
			}
		}
	}
	visit(reflect.ValueOf(m).Elem())
	return all
}

var fqName = regexp.MustCompile(`fqName: "([^"]+)"`)

func nameOf(c prometheus.Collector) string {
	descs := make(chan *prometheus.Desc, 1)
	c.Describe(descs)
	return fqName.FindStringSubmatch((<-descs).String())[1]
}
