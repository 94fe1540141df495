mod histories;
mod lines;
mod parse;
mod world;
