// Takes an order and says so in a room, both or neither: node order.mjs shop:orders ID lamp
//
// It may be run again with the same id: the row is there once, and so is the event, whose tag is the id.
import pg from "pg";

const [room, id, item] = process.argv.slice(2);
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
try {
	await client.query("begin");
	await client.query("insert into orders (id, item) values ($1, $2) on conflict do nothing", [id, item]);
	// Last: from here until the commit nobody else can send to the room.
	const { rows } = await client.query("select seq, duplicate from roomlog.append($1, $2, $3, $4::text, $5::text)", [
		room,
		"order",
		"service:shop",
		id,
		JSON.stringify({ order: id, item }),
	]);
	await client.query("commit");
	console.log(rows[0].seq, rows[0].duplicate ? "again" : "new");
} catch (error) {
	await client.query("rollback");
	console.error(`order.mjs: ${error.message}`); // such as tag_conflict: …, where error.code is RL010
	process.exitCode = 1;
} finally {
	await client.end();
}

// Those who follow the room hear of it within a second. A poke makes it at once; that it fails is no harm.
if (process.env.ROOMLOG_TOKEN && !process.exitCode) {
	const url = `${process.env.ROOMLOG_URL}/v1/rooms/${encodeURIComponent(room)}/poke`;
	await fetch(url, { method: "POST", headers: { Authorization: `Bearer ${process.env.ROOMLOG_TOKEN}` } }).catch(() => {});
}
