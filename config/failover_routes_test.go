package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClientsFollowFromTheAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		member FailoverMember
		want   FailoverClients
	}{
		{FailoverMember{Address: "192.0.2.1:5432"}, FailoverClients{Addresses: []string{"192.0.2.1"}, Port: 5432}},
		{FailoverMember{Address: "[2001:db8::1]:5432"}, FailoverClients{Addresses: []string{"2001:db8::1"}, Port: 5432}},
		{FailoverMember{Address: "db1.example.com:5432"}, FailoverClients{Host: "db1.example.com", Port: 5432}},
		{FailoverMember{Address: "https://www.example.com/health"}, FailoverClients{Host: "www.example.com", Port: 443}},
		{FailoverMember{Address: "http://192.0.2.1"}, FailoverClients{Addresses: []string{"192.0.2.1"}, Port: 80}},
		{FailoverMember{Address: "http://[2001:db8::1]"}, FailoverClients{Addresses: []string{"2001:db8::1"}, Port: 80}},
		{FailoverMember{Address: "http://192.0.2.1:8080/x"}, FailoverClients{Addresses: []string{"192.0.2.1"}, Port: 8080}},
		{FailoverMember{}, FailoverClients{}},
		{
			FailoverMember{Address: "10.0.0.1:5432", Clients: FailoverClients{Addresses: []string{"192.0.2.1"}, Host: "db.example.com", Port: 6432}},
			FailoverClients{Addresses: []string{"192.0.2.1"}, Host: "db.example.com", Port: 6432},
		},
	} {
		if diff := cmp.Diff(c.want, c.member.EffectiveClients()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.member, diff)
		}
	}
}
