package transport

import "testing"

// MOD-1: who is muted sends nothing, of whatever type and by whatever way: members are changed by events, too. Leaving is nobody's to forbid.
func TestWhoIsMutedChangesNoMembers(t *testing.T) {
	f := club(t, options{})
	const id = "club:a"
	f.enroll(id, "ann", "owner")
	f.enroll(id, "ben", "member")
	if a := f.request("PUT", "/v1/rooms/"+id+"/mutes/ann", clubKey, `{}`); a.status != 200 {
		t.Fatal(a.text)
	}
	path := "/v1/rooms/" + id + "/members/"
	if a := f.request("PUT", path+"cleo", f.token("ann"), `{"role":"member"}`); a.code() != "forbidden" || a.body["field"] != "room" {
		t.Error("MOD-1: a member is made:", a.status, a.text)
	}
	if a := f.request("DELETE", path+"ben", f.token("ann"), ""); a.code() != "forbidden" {
		t.Error("MOD-1: a membership is ended:", a.status, a.text)
	}
	if a := f.request("DELETE", path+"ann", f.token("ann"), ""); a.status != 204 {
		t.Error("MEM-1: to leave:", a.status, a.text)
	}
}
