// Create the user `service`, which may use the service's database and the one for its tests. The image runs this once, when
// the server is new: https://hub.docker.com/_/mongo#initializing-a-fresh-instance
const name = db.getName();
db.createUser({
  user: "service",
  pwd: process.env.DATABASE_PASSWORD,
  roles: [
    { role: "readWrite", db: name },
    // `make test` empties this database.
    { role: "readWrite", db: `${name}_test` },
    { role: "dbAdmin", db: `${name}_test` },
  ],
});
