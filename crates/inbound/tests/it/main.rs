mod histories;
mod killed;
mod lines;
mod parse;
mod world;
